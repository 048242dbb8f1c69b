"""Language models of any server with OpenAI's chat endpoint (``LLM_PROVIDER=compatible``): docs/providers/compatible.md."""

from __future__ import annotations

from voice_agent.providers.openai_api.account import compatible_account
from voice_agent.providers.openai_api.chat import ChatModel, ChatSettings
from voice_agent.providers.registry import ProviderContext


def provider(context: ProviderContext) -> ChatModel:
    account = compatible_account(context, context.llm.connect_ms)
    context.warmth.register("compatible language model", account.warm)
    return ChatModel(
        account,
        ChatSettings(
            model=context.compatible.llm_model or context.llm.model,
            temperature=context.llm.temperature,
            max_tokens=context.llm.max_tokens,
            limit_name="max_tokens",
            reasoning_effort=context.llm.reasoning_effort,
            model_variable="COMPATIBLE_LLM_MODEL",
        ),
    )
