"""The built-in language model: needs no key and no weights beyond the embedder's."""

from voice_agent.providers.embedding.minilm import default_cache_dir
from voice_agent.providers.llm.builtin.brain_file import BrainFile, load_brain
from voice_agent.providers.llm.builtin.model import BuiltinLanguageModel
from voice_agent.providers.registry import ProviderContext

__all__ = ["BrainFile", "BuiltinLanguageModel", "load_brain"]


def provider(context: ProviderContext) -> BuiltinLanguageModel:
    """Registration: ``LLM_PROVIDER=builtin``."""
    return BuiltinLanguageModel(context.embedder, brain_file=context.llm.brain_file, cache_dir=default_cache_dir())
