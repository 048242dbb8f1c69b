"""The built-in tool ``knowledge_base``: what the shop's documents say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from voice_agent.models import KnowledgeAnswer
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext


class KnowledgeSearch(Protocol):
    async def search(self, query: str, *, locale: str, collections: tuple[str, ...] = ()) -> KnowledgeAnswer:
        """The best passages for a question, in the language of ``locale``; ``collections`` empty: the server's own. Raises
        a ``VoiceAgentError`` if the knowledge base cannot be asked."""
        ...


def knowledge_tool(knowledge: KnowledgeSearch) -> Tool:
    """``knowledge_base {query}`` → ``{"answerable", "confidence", "passages": [{title, text, source, score}]}``.

    A question the documents do not answer is still a result (``answerable`` is false), not a business error: the model
    is to say that it does not know. The call's locale chooses the documents' language, its agent their collections. The
    sources stand in the call's log with the result.
    """

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        query: str = arguments["query"]
        answer = await knowledge.search(query, locale=context.locale, collections=context.knowledge)
        passages = [
            {"title": p.title, "text": p.text, "source": p.source, "score": round(p.score, 3)} for p in answer.passages
        ]
        return ToolAnswer(
            {"answerable": answer.answerable, "confidence": round(answer.confidence, 3), "passages": passages}
        )

    return Tool(
        name="knowledge_base",
        description=(
            "Searches the shop's policies and help pages: returns, shipping, payment, warranty, opening hours, "
            "accounts and the like. Use only what the passages say; if answerable is false, say that you do not know."
        ),
        parameters={
            "type": "object",
            "properties": {
                "query": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1000,
                    "description": "The caller's question as one complete sentence.",
                }
            },
            "required": ["query"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't look that up right now.",
    )
