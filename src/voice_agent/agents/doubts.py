"""What an agent file says that may be meant, but more likely is not."""

from __future__ import annotations

from voice_agent.agents.agent_file import KNOWLEDGE_TOOL
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.locales import LANGUAGES, language_of


def doubts_of(agent: AgentProfile, *, secret_lengths: frozenset[int]) -> list[str]:
    """One sentence each. ``secret_lengths``: how many digits a PIN and a code of this server have."""
    found = []
    if not agent.personas:
        found.append("it has no persona: a hosted language model is not told whom it speaks for")
    if agent.knowledge and KNOWLEDGE_TOOL not in agent.tools:
        found.append(f"it names collections, but not the tool {KNOWLEDGE_TOOL}: it will not look anything up")
    if agent.order_number_digits in secret_lengths:
        found.append(
            f"its order numbers have {agent.order_number_digits} digits, like a PIN or a code: one that is said alone is "
            "taken for a secret until the caller is verified"
        )
    greetings = {language_of(phrase.locale) for phrase in agent.rules.phrases if phrase.name == "greeting"}
    if greetings and (missing := [language for language in LANGUAGES if language not in greetings]):
        found.append(
            f"callers who ask for {', '.join(missing)} hear the usual greeting, and what its own says is not heard"
        )
    if agent.rules.handovers and all(rule.reasons for rule in agent.rules.handovers):
        found.append("each of its handover targets has reasons: for any other reason a callback is recorded")
    return found
