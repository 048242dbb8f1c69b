"""The built-in language model: a ``LanguageModel`` of intents, rules and templates, without weights of its own.

Theory of operation. The model keeps nothing between requests. For each request it

1. finds the caller turn to answer and reads its intents (``intents.py``);
2. folds the dialogue before it into facts: the orders known and the one talked about, what the agent asked last and what
   has been said for it, how often it has not understood (``situation.py``, ``orders.py``, ``thread.py``);
3. takes the first rule of the brain file whose conditions those facts meet. A rule speaks templates, or calls a tool;
   where the turn already holds that call's result, the first matching rule for results decides instead.

So a round that needs a tool ends in tool calls, and the next round, with the results in the dialogue, takes the same way
to the same rule and then speaks. A tool that needs the caller's agreement asks for it in its own words; once the caller
has agreed, the turn begins with its result, and the rules for results speak at once. The same request always gives the
same answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voice_agent.models import ToolCall, ToolResult
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.llm.builtin.brain_file import CallEntry, RuleEntry, load_brain
from voice_agent.providers.llm.builtin.dialogue import Dialogue, read_dialogue
from voice_agent.providers.llm.builtin.intents import IntentReader
from voice_agent.providers.llm.builtin.passages import split_sentences
from voice_agent.providers.llm.builtin.situation import Situation, SituationReader, count_word
from voice_agent.providers.llm.builtin.templates import look_up
from voice_agent.providers.understanding.matcher import TextEmbedder

_SLOT = re.compile(r"\{([^{}]*)\}")
_DEPTH = 3  # a result may lead to another call (a failed search to a transfer), but not for ever


@dataclass(slots=True)
class _Answer:
    """What one task comes to: words to speak, or calls to make first. ``now``: the words go with the calls, and do not
    wait for their results (a goodbye that ends the call)."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    now: bool = False


class BuiltinLanguageModel:
    """Shared by the process. ``brain_file``: another file than the shipped ``brain.en.yaml``, whose English also serves
    other locales. ``cache_dir`` keeps the examples' vectors between starts.

    ``stream`` may be closed at any point. Raises ``ConfigError`` for a bad brain file at construction, ``ProviderError``
    from ``stream`` when the embedder fails.
    """

    def __init__(
        self, embedder: TextEmbedder, *, brain_file: Path | None = None, cache_dir: Path | None = None
    ) -> None:
        self._brain = load_brain(brain_file)
        self._phrases = self._brain.phrasebook()
        self._intents = IntentReader(self._brain, embedder, cache_dir)
        self._situations = SituationReader(self._brain, self._phrases, self._intents, embedder)

    async def warm_up(self) -> None:
        await self._intents.prepare()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Tool calls, or the answer phrase by phrase; then ``LlmFinished``."""
        dialogue = read_dialogue(request.messages, verified=request.verified)
        answer = await self._answer(dialogue, request)
        if answer.now or not answer.calls:
            for index, part in enumerate(_deltas(answer.text)):
                yield TextDelta(part if index == 0 else f" {part}")
        for call in answer.calls:
            yield ToolCallRequested(call)
        yield LlmFinished()

    async def _answer(self, dialogue: Dialogue, request: LlmRequest) -> _Answer:
        if not dialogue.text:
            return _Answer(self._phrases.render("not_understood", {}, 0))
        agreed = dialogue.agreed()
        if agreed is not None:
            situation = self._situations.agreed(dialogue, agreed[0], request)
            situation = await self._situations.with_result(situation, *agreed)
            return await self._follow(self._brain.results, situation, request)
        reading = await self._intents.read(dialogue.text)
        prefaces = [self._phrases.render(name, {}, dialogue.turn) for name in reading.prefaces]
        situations = await self._situations.read(dialogue, reading, request)
        parts = [await self._follow(self._brain.turns, await self._with_rest(s, request), request) for s in situations]
        parts.sort(key=lambda part: part.text.endswith("?"))  # what the caller is to answer comes last
        return _Answer(
            " ".join(text for text in (*prefaces, *(part.text for part in parts)) if text),
            [call for part in parts for call in part.calls],
            now=all(part.now for part in parts),
        )

    async def _follow(self, rules: Sequence[RuleEntry], situation: Situation, request: LlmRequest) -> _Answer:
        offered = {tool.name for tool in request.tools}
        for _ in range(_DEPTH):
            step = self._first_fitting(rules, situation, offered)
            if step is None:
                break
            rule, call, result = step
            if call is None or (rule.say and result is not None):
                return _Answer(self._say(rule.say, situation))
            if result is None:
                return _Answer(self._say(rule.say, situation), [call], now=bool(rule.say))
            situation = await self._situations.with_result(situation, call, result)
            rules = self._brain.results
        return _Answer(self._phrases.render("failure", situation.values, situation.dialogue.turn))

    def _first_fitting(
        self, rules: Sequence[RuleEntry], situation: Situation, offered: set[str]
    ) -> tuple[RuleEntry, ToolCall | None, ToolResult | None] | None:
        """The rule to follow, its call, and that call's result where the turn holds it. A rule whose call can neither be
        made nor has been made is passed over."""
        for rule in rules:
            if (rule.needs and rule.needs not in offered) or not self._fits(rule, situation):
                continue
            if rule.call is None:
                return rule, None, None
            call = self._call(rule.call, situation)
            result = situation.dialogue.result_of(call.name, call.arguments)
            if result is not None or call.name in offered:
                return rule, call, result
        return None

    def _fits(self, rule: RuleEntry, situation: Situation) -> bool:
        for fact, wanted in rule.when.items():
            value = _as_fact(look_up(situation.values, fact)) if "." in fact else situation.facts.get(fact, "")
            if value not in wanted and not (fact == "intent" and f"topic:{self._topic(value)}" in wanted):
                return False
        return True

    def _topic(self, intent: str) -> str:
        entry = self._brain.intents.get(intent)
        return entry.topic if entry else ""

    def _say(self, names: Sequence[str], situation: Situation) -> str:
        turn = situation.dialogue.turn
        texts = [self._phrases.render(self._template(name, situation), situation.values, turn) for name in names]
        return " ".join(text for text in texts if text)

    def _template(self, name: str, situation: Situation) -> str:
        """The template that a rule names; "{intent}_{order.status}" falls back to the intent's "_other"."""
        values = {**situation.values, "intent": situation.intent}
        specific = _SLOT.sub(lambda m: str(look_up(values, m[1])), name)
        if self._phrases.has(specific):
            return specific
        return _SLOT.sub("other", name.replace("{intent}", situation.intent))

    def _call(self, entry: CallEntry, situation: Situation) -> ToolCall:
        arguments: dict[str, Any] = {}
        for name, template in entry.args.items():
            value = _filled(template, situation.values)
            if value:
                arguments[name] = value
        text = json.dumps(arguments)
        seed = f"{situation.dialogue.turn} {situation.dialogue.calls_so_far()} {entry.tool} {text}"
        return ToolCall(f"call_{hashlib.sha256(seed.encode()).hexdigest()[:12]}", entry.tool, text)

    async def _with_rest(self, situation: Situation, request: LlmRequest) -> Situation:
        rest = await self._rest(situation.dialogue, situation.intent, request)
        if not rest:
            return situation
        return replace(situation, facts={**situation.facts, "rest": "yes"}, values={**situation.values, "rest": rest})

    async def _rest(self, dialogue: Dialogue, intent: str, request: LlmRequest) -> str:
        """What the agent had still to say when it was interrupted: its answer is made again, and what was heard of it
        is left out."""
        entry = self._brain.intents.get(intent)
        last = dialogue.last_agent()
        if entry is None or not entry.resumes or last is None or not last.interrupted:
            return ""
        earlier = dialogue.until_last_agent()
        if earlier is None or not earlier.text:
            return ""
        again = (await self._answer(earlier, request)).text
        heard = " ".join(last.text.lower().split())
        return " ".join(s for s in split_sentences(again) if " ".join(s.lower().split()) not in heard)


def _deltas(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?;:,])\s+", text) if part]


def _filled(template: str, values: Mapping[str, Any]) -> Any:
    """A tool's argument. What stands for itself keeps its type: "{items}" is a list."""
    alone = _SLOT.fullmatch(template)
    if alone and not isinstance(value := look_up(values, alone[1]), str):
        return value
    return _SLOT.sub(lambda m: str(look_up(values, m[1]) or ""), template).strip()


def _as_fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count_word(value) if isinstance(value, list) else str(value or "")
