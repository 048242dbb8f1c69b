"""The built-in language model: a ``LanguageModel`` of intents, rules and templates, without weights of its own.

Theory of operation. The model keeps nothing between requests. For each request it

1. finds the caller turn to answer and reads its intents (``intents.py``);
2. folds the dialogue before it into facts: the orders known and the one talked about, what the agent asked last, how
   often it has not understood (``orders.py``, ``dialogue.py``);
3. takes the first rule of the brain file whose conditions those facts meet. A rule speaks templates, or calls a tool;
   where the turn already holds that call's result, the first matching rule for results decides instead.

So a round that needs a tool ends in tool calls, and the next round, with the results in the dialogue, takes the same way
to the same rule and then speaks. The same request always gives the same answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voice_agent.conversation.spoken_forms.heard import yes_or_no
from voice_agent.models import OpenQuestion, ToolCall, ToolResult
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.llm.builtin.brain_file import CallEntry, RuleEntry, load_brain
from voice_agent.providers.llm.builtin.dialogue import Dialogue, read_dialogue
from voice_agent.providers.llm.builtin.intents import NO_INTENT, IntentReader, Task
from voice_agent.providers.llm.builtin.orders import OrderBook, Pick
from voice_agent.providers.llm.builtin.passages import extract_answer, split_sentences
from voice_agent.providers.llm.builtin.templates import look_up
from voice_agent.providers.understanding.matcher import TextEmbedder

_FEW_WORDS = 3  # shorter turns without a known intent are not worth a search
_POINTING_WORDS = 7  # "no, I meant the one with the tent": longer turns say more than which order is meant
_MANY_ORDERS = 3  # more than these are not read out
_LOOK_BACK_TURNS = 4  # how far back the question may lie that "the second one" completes
_STILL_THE_SUBJECT_TURNS = 2  # thanks, or "what did you say?", may come between a question and what goes on from it
_SHORT_QUESTION_WORDS = 10  # a longer one would drown the few words that go on from it; its document's title does not
_QUERY_MAX_CHARS = 500
_SUMMARY_TURNS = 4
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
_SLOT = re.compile(r"\{([^{}]*)\}")
_DEPTH = 3  # a result may lead to another call (a failed search to a transfer), but not for ever


@dataclass(slots=True)
class _Answer:
    """What one task comes to: words to speak, or calls to make first. ``now``: the words go with the calls, and do not
    wait for their results (a goodbye that ends the call)."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    now: bool = False


@dataclass(frozen=True, slots=True)
class _Situation:
    """A task and all that rules and templates may know about it."""

    dialogue: Dialogue
    task: Task
    intent: str
    pick: Pick
    book: OrderBook
    facts: Mapping[str, str]
    values: Mapping[str, Any]


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
        self._embedder = embedder
        self._intents = IntentReader(self._brain, embedder, cache_dir)

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
        reading = await self._intents.read(dialogue.text)
        prefaces = [self._phrases.render(name, {}, dialogue.turn) for name in reading.prefaces]
        parts = [await self._do(await self._situation(dialogue, task, request), request) for task in reading.tasks]
        parts.sort(key=lambda part: part.text.endswith("?"))  # what the caller is to answer comes last
        return _Answer(
            " ".join(text for text in (*prefaces, *(part.text for part in parts)) if text),
            [call for part in parts for call in part.calls],
            now=all(part.now for part in parts),
        )

    async def _do(self, situation: _Situation, request: LlmRequest) -> _Answer:
        offered = {tool.name for tool in request.tools}
        rules: Sequence[RuleEntry] = self._brain.turns
        for _ in range(_DEPTH):
            step = self._first_fitting(rules, situation, offered)
            if step is None:
                break
            rule, call, result = step
            if call is None or (rule.say and result is not None):
                return _Answer(self._say(rule.say, situation))
            if result is None:
                return _Answer(self._say(rule.say, situation), [call], now=bool(rule.say))
            situation = await self._with_result(situation, call, result)
            rules = self._brain.results
        return _Answer(self._phrases.render("failure", situation.values, situation.dialogue.turn))

    def _first_fitting(
        self, rules: Sequence[RuleEntry], situation: _Situation, offered: set[str]
    ) -> tuple[RuleEntry, ToolCall | None, ToolResult | None] | None:
        """The rule to follow, its call, and that call's result where the turn holds it. A rule whose call can neither be
        made nor has been made is passed over."""
        for rule in rules:
            if not self._fits(rule, situation.facts):
                continue
            if rule.call is None:
                return rule, None, None
            call = self._call(rule.call, situation)
            result = situation.dialogue.result_of(call.name, call.arguments)
            if result is not None or call.name in offered:
                return rule, call, result
        return None

    def _fits(self, rule: RuleEntry, facts: Mapping[str, str]) -> bool:
        for fact, wanted in rule.when.items():
            value = facts.get(fact, "")
            if value not in wanted and not (fact == "intent" and f"topic:{self._topic(value)}" in wanted):
                return False
        return True

    def _topic(self, intent: str) -> str:
        entry = self._brain.intents.get(intent)
        return entry.topic if entry else ""

    def _say(self, names: Sequence[str], situation: _Situation) -> str:
        turn = situation.dialogue.turn
        texts = [self._phrases.render(self._template(name, situation), situation.values, turn) for name in names]
        return " ".join(text for text in texts if text)

    def _template(self, name: str, situation: _Situation) -> str:
        """The template that a rule names; "{intent}_{order.status}" falls back to the intent's "_other"."""
        values = {**situation.values, "intent": situation.intent}
        specific = _SLOT.sub(lambda m: str(look_up(values, m[1])), name)
        if self._phrases.has(specific):
            return specific
        return _SLOT.sub("other", name.replace("{intent}", situation.intent))

    def _call(self, entry: CallEntry, situation: _Situation) -> ToolCall:
        arguments: dict[str, str] = {}
        for name, template in entry.args.items():
            value = _SLOT.sub(lambda m: str(look_up(situation.values, m[1]) or ""), template).strip()
            if value:
                arguments[name] = value
        text = json.dumps(arguments)
        seed = f"{situation.dialogue.turn} {situation.dialogue.calls_so_far()} {entry.tool} {text}"
        return ToolCall(f"call_{hashlib.sha256(seed.encode()).hexdigest()[:12]}", entry.tool, text)

    async def _situation(self, dialogue: Dialogue, task: Task, request: LlmRequest) -> _Situation:
        book = OrderBook(digits=self._brain.order_digits)
        for message in dialogue.before:
            book = book.after(message, self._brain.references)
        last = dialogue.last_agent()
        asked = self._asked(dialogue) or request.open_question.value
        pick = book.pick(task.text, self._brain.references)
        intent = self._yes_or_no(task, pick, request) or await self._carried(dialogue, task, pick, asked)
        last_text = self._without_repeat(last.text) if last else ""
        earlier = self._question_before(dialogue, task)
        rest = await self._rest(dialogue, intent, request)
        facts = {
            "intent": intent,
            "asked": asked,
            "number": ("known" if pick.orders else "new") if pick.number else "none",
            "picked": pick.how,
            "orders": _count(pick.orders) if book.asked else "unknown",
            "misses": self._misses(dialogue),
            "last": "yes" if last_text else "no",
            "rest": "yes" if rest else "no",
            "words": "few" if len(task.text.split()) < _FEW_WORDS and not earlier else "enough",
            "goes_on": "yes" if earlier else "no",
            "parting": "yes" if self._is_parting(dialogue) else "no",
            "verified": "yes" if dialogue.verified else "no",
        }
        values = {
            **_order_values(pick),
            "order_id": pick.number,
            "query": self._query(earlier, task.text)[:_QUERY_MAX_CHARS],
            "last": last_text,
            "last_slow": re.sub(r"\d{4,}", lambda m: ", ".join(m[0]), last_text),
            "last_short": next(iter(split_sentences(last_text)), ""),
            "rest": rest,
            "summary": self._summary(dialogue, book),
        }
        return _Situation(dialogue, task, intent, pick, book, facts, values)

    def _yes_or_no(self, task: Task, pick: Pick, request: LlmRequest) -> str:
        """ "yes" or "no" where the agent asked for it and the words say it, and nothing else with it."""
        entry = self._brain.intents.get(task.intent)
        speaks_of_more = pick.is_pointing or (entry is not None and not entry.social)
        if request.open_question is not OpenQuestion.YES_NO or speaks_of_more:
            return ""
        said = yes_or_no(task.text)
        return "" if said is None or task.intent in ("goodbye", "thanks") else ("yes" if said else "no")

    async def _carried(self, dialogue: Dialogue, task: Task, pick: Pick, asked: str) -> str:
        """The task's intent; or, where the words only say which order is meant, what was asked about orders before."""
        entry = self._brain.intents.get(task.intent)
        if entry is not None and entry.topic == "order":
            return task.intent
        short = len(task.text.split()) <= _POINTING_WORDS
        which = asked in ("which_order", OpenQuestion.ORDER_NUMBER.value)
        goes_on = which or self._goes_on(task.text)
        speaks_of_other_things = entry is not None and not entry.social and not (goes_on and short)
        by_chance = pick.number and not pick.orders and not which and _YEAR.fullmatch(pick.number)
        if not pick.is_pointing or speaks_of_other_things or by_chance or not (short or pick.number):
            return task.intent
        for text in dialogue.earlier_turns()[:_LOOK_BACK_TURNS]:
            earlier = await self._intents.intent_of(text)
            if earlier != NO_INTENT and self._brain.intents[earlier].aspect:
                return earlier
        return self._brain.default_aspect

    async def _with_result(self, situation: _Situation, call: ToolCall, result: ToolResult) -> _Situation:
        data = result.data
        facts = {
            **situation.facts,
            "tool": result.name,
            "result": result.status.value,
            "reason": result.reason,
            "answerable": "yes" if data.get("answerable") else "no",
        }
        values = {**situation.values, "result": data, "spoken": result.spoken}
        orders = data.get("orders")
        if isinstance(orders, list):
            book = OrderBook(digits=self._brain.order_digits).with_result(orders)
            pick = book.pick(situation.task.text, self._brain.references)
            facts |= {"orders": _count(pick.orders), "picked": pick.how}
            values |= _order_values(replace(pick, how="one") if pick.how == "focus" else pick)
        passages = data.get("passages")
        if data.get("answerable") and isinstance(passages, list):
            question = str(json.loads(call.arguments).get("query", situation.task.text))
            answer = await extract_answer(question, passages, self._embedder)
            values["answer"] = answer
            facts["answerable"] = "yes" if answer else "no"
        return replace(situation, facts=facts, values=values)

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

    def _misses(self, dialogue: Dialogue) -> str:
        count = 0
        for text in dialogue.agent_texts():
            if not any(self._phrases.spoken_as(name, text) for name in ("not_understood", "not_understood_human")):
                break
            count += 1
        return ("none", "once")[count] if count < 2 else "often"

    def _asked(self, dialogue: Dialogue) -> str:
        """What the agent asked last; it stays open while the caller is only given time."""
        last = dialogue.last_agent()
        if last is None:
            return ""
        for text in dialogue.agent_texts():
            if not self._phrases.spoken_as("take_your_time", text):
                return self._phrases.question_in(text, cut=last.interrupted)
        return ""

    def _without_repeat(self, text: str) -> str:
        """The words themselves, where the agent had repeated them ("I said: …")."""
        for name in ("repeat", "slowly", "briefly"):
            match = self._phrases.spoken_as(name, text)
            if match and match.lastindex:
                return match[1]
        return text

    def _is_parting(self, dialogue: Dialogue) -> bool:
        """The agent was saying goodbye when the caller spoke again."""
        last = dialogue.last_agent()
        said = dialogue.last_calls("end_call")
        return bool(last and said and said[0][0] in dialogue.earlier_turns()[:1])

    def _question_before(self, dialogue: Dialogue, task: Task) -> str:
        """The question from which words like "and for tents?" go on: the one just asked, or, where that went on as well,
        the one it went on from. "" where the words stand for themselves."""
        if not self._goes_on(task.text):
            return ""
        calls = dialogue.last_calls("knowledge_base")
        if not calls or calls[0][0] not in dialogue.earlier_turns()[:_STILL_THE_SUBJECT_TURNS]:
            return ""
        words, call = next((pair for pair in calls if not self._goes_on(pair[0])), calls[-1])
        try:
            asked = str(json.loads(call.arguments).get("query", ""))
        except ValueError:
            asked = words
        if len(asked.split()) > _SHORT_QUESTION_WORDS:
            asked = dialogue.best_title(call) or asked
        return asked.rstrip(" ?.!,")

    def _query(self, earlier: str, text: str) -> str:
        """One question: "How much is shipping?" "And to Canada?" → "How much is shipping to Canada?"."""
        return f"{earlier} {re.sub(self._brain.follow_up_joint, '', text, flags=re.IGNORECASE)}" if earlier else text

    def _goes_on(self, text: str) -> bool:
        return re.search(self._brain.follow_up, text.lower()) is not None

    def _summary(self, dialogue: Dialogue, book: OrderBook) -> str:
        turns = [dialogue.text, *dialogue.earlier_turns()][:_SUMMARY_TURNS]
        said = " / ".join(reversed([text.strip(" .") for text in turns if text.strip(" .")]))
        about = f" Order talked about last: {book.focus}." if book.focus else ""
        return f'The caller said: "{said[:800]}".{about}'


def _deltas(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?;:,])\s+", text) if part]


def _count(orders: Sequence[Any]) -> str:
    if len(orders) > _MANY_ORDERS:
        return "many"
    return ("none", "one", "several", "several")[len(orders)]


def _order_values(pick: Pick) -> dict[str, Any]:
    """``order``: the one in question; ``orders``: all in question, at most three; ``it``: how to name the one."""
    orders = [_speakable(order) for order in pick.orders]
    values: dict[str, Any] = {"orders": orders[:_MANY_ORDERS], "count": len(orders), "order": None, "it": ""}
    if len(orders) == 1:
        values["order"] = orders[0]
        values["it"] = "it" if pick.how == "focus" else f"order {orders[0].get('order_id', '')}"
    return values


def _speakable(order: Mapping[str, Any]) -> dict[str, Any]:
    """The order as templates see it: its total carries its currency."""
    return (
        {**order, "total": (order["total"], order.get("currency", ""))} if order.get("total") is not None else {**order}
    )
