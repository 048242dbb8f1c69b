"""OpenAI's language models (``LLM_PROVIDER=openai``); settings, cost and limits are in docs/providers/openai.md."""

from __future__ import annotations

from voice_agent.providers.openai_api.account import openai_account
from voice_agent.providers.openai_api.chat import ChatModel, ChatSettings
from voice_agent.providers.registry import ProviderContext


def provider(context: ProviderContext) -> ChatModel:
    account = openai_account(context, context.llm.connect_ms)
    context.warmth.register("openai language model", account.warm)
    return ChatModel(
        account,
        ChatSettings(
            model=context.llm.model,
            temperature=context.llm.temperature,
            max_tokens=context.llm.max_tokens,
            limit_name="max_completion_tokens",
            reasoning_effort=context.llm.reasoning_effort,
            model_variable="LLM_MODEL",
        ),
    )
