"""The facts and values of one task, on which rules and templates rest: the dialogue before it, folded together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from voice_agent.conversation.spoken_forms.heard import yes_or_no
from voice_agent.models import OpenQuestion, ToolCall, ToolResult
from voice_agent.providers.llm.base import LlmRequest
from voice_agent.providers.llm.builtin.brain_file import BrainFile
from voice_agent.providers.llm.builtin.dialogue import Dialogue
from voice_agent.providers.llm.builtin.intents import NO_INTENT, IntentReader, Reading, Task
from voice_agent.providers.llm.builtin.items import named_items
from voice_agent.providers.llm.builtin.orders import ALL_ORDERS_TOOL, OrderBook, Pick
from voice_agent.providers.llm.builtin.passages import extract_answer, split_sentences
from voice_agent.providers.llm.builtin.slots import SlotReader
from voice_agent.providers.llm.builtin.templates import Phrasebook
from voice_agent.providers.llm.builtin.thread import Thread, ThreadReader
from voice_agent.providers.understanding.matcher import TextEmbedder

_FEW_WORDS = 3  # shorter turns without a known intent are not worth a search
_POINTING_WORDS = 7  # "no, I meant the one with the tent": longer turns say more than which order is meant
_MANY_ORDERS = 3  # more than these are not read out
_LOOK_BACK_TURNS = 4  # how far back the question may lie that "the second one" completes
_STILL_THE_SUBJECT_TURNS = 2  # thanks, or "what did you say?", may come between a question and what goes on from it
_SHORT_QUESTION_WORDS = 10  # a longer one would drown the few words that go on from it; its document's title does not
_QUERY_MAX_CHARS = 500
_SUMMARY_TURNS = 4
_SUBJECT_MAX_CHARS = 200  # as much as a colleague reads at a glance, and a callback's topic takes
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
_AMOUNTS = ("total", "refund")  # told with their currency


@dataclass(frozen=True, slots=True)
class Situation:
    """A task and all that rules and templates may know about it. ``words``: what the caller said for it, newest first."""

    dialogue: Dialogue
    task: Task
    intent: str
    words: tuple[str, ...]
    facts: Mapping[str, str]
    values: Mapping[str, Any]


class SituationReader:
    """Shared by the process. Raises what the embedder raises."""

    def __init__(self, brain: BrainFile, phrases: Phrasebook, intents: IntentReader, embedder: TextEmbedder) -> None:
        self._brain = brain
        self._phrases = phrases
        self._intents = intents
        self._embedder = embedder
        self._slots = SlotReader(brain.slots, brain.negation)
        self._threads = ThreadReader(brain, phrases, self._slots)

    async def read(self, dialogue: Dialogue, reading: Reading, request: LlmRequest) -> list[Situation]:
        """The situation of every task of the turn; of one alone where the turn goes on with what is in hand."""
        book = self._book(dialogue)
        thread = self._threads.thread(dialogue)
        intent = self._going_on(dialogue, thread, reading, book)
        if intent:
            thread = thread if intent == thread.intent else Thread()
            return [self._put_together(dialogue, Task(intent, dialogue.text), thread, book, request)]
        alone = self._threads.without_details(reading.tasks)
        tasks = [await self._completed(dialogue, task, book, request) for task in alone]
        return [self._put_together(dialogue, task, Thread(), book, request) for task in tasks]

    def agreed(self, dialogue: Dialogue, call: ToolCall, request: LlmRequest) -> Situation:
        """The situation in which the caller has agreed to ``call``."""
        name = next((name for name, entry in self._brain.intents.items() if entry.tool == call.name), NO_INTENT)
        task, thread = Task(name, dialogue.text), self._threads.thread(dialogue)
        return self._put_together(dialogue, task, thread, self._book(dialogue), request)

    def _book(self, dialogue: Dialogue) -> OrderBook:
        book = OrderBook(digits=self._brain.order_digits)
        for message in dialogue.before:
            book = book.after(message, self._brain.references)
        return book

    def _going_on(self, dialogue: Dialogue, thread: Thread, reading: Reading, book: OrderBook) -> str:
        """The intent of the whole turn where it belongs to what is in hand; "" where it stands for itself."""
        if not thread.intent:
            return ""
        text = dialogue.text
        pick = book.pick(text, self._brain.references)
        # "No, not the tent" points at the tent, and at no other order.
        elsewhere = pick.is_pointing and [order.get("order_id") for order in pick.orders] != [book.focus]
        said = yes_or_no(text)
        intent = reading.tasks[0].intent
        if said is not None and self._is_social(intent) and intent not in ("goodbye", "thanks"):
            intent = "yes" if said else "no"
        declined = thread.how == "proposed" and said is False
        if declined and not elsewhere and not self._threads.answers(thread, text):
            return "no" if intent == thread.intent else ""
        goes_on = self._threads.goes_on(thread, intent, text, points=elsewhere if declined else pick.is_pointing)
        return thread.intent if goes_on else ""

    def _is_social(self, intent: str) -> bool:
        entry = self._brain.intents.get(intent)
        return entry is None or entry.social

    async def _completed(self, dialogue: Dialogue, task: Task, book: OrderBook, request: LlmRequest) -> Task:
        """The task with its intent as it is meant at this point of the dialogue."""
        if task.plain:
            return task
        pick = book.pick(task.text, self._brain.references)
        said = self._yes_or_no(task, pick, request)
        return Task(said or await self._carried(dialogue, task, pick, self._asked(dialogue, request)), task.text)

    def _pick(self, text: str, thread: Thread, book: OrderBook) -> Pick:
        """The orders that the words for what is in hand point at, the newest words first; else the one talked about."""
        for words in (text, *thread.turns):
            if not self._threads.consumed(thread, words):
                pick = book.pick(words, self._brain.references)
                if pick.is_pointing:
                    return pick
        return book.pick("", self._brain.references)

    def _put_together(
        self, dialogue: Dialogue, task: Task, thread: Thread, book: OrderBook, request: LlmRequest
    ) -> Situation:
        intent = self._possible(task.intent, request)
        pick = self._narrowed(self._pick(task.text, thread, book), intent)
        asked = self._asked(dialogue, request)
        last = dialogue.last_agent()
        last_text = self._without_repeat(last.text) if last else ""
        earlier = self._question_before(dialogue, task)
        words = (dialogue.text, *thread.turns)
        slots = self._slots.read(words)
        facts = {
            "intent": intent,
            "asked": asked,
            "tries": self._threads.tries(dialogue, asked),
            "proposed": self._threads.proposed(dialogue) or "none",
            "number": ("known" if pick.orders else "new") if pick.number else "none",
            "picked": pick.how,
            "orders": count_word(pick.orders) if book.asked else "unknown",
            "listed": "yes" if dialogue.has_listed(ALL_ORDERS_TOOL) else "no",
            "points_back": "yes" if re.search(self._brain.points_back, task.text.lower()) else "no",
            "misses": self._misses(dialogue),
            "last": "yes" if last_text else "no",
            "rest": "no",
            "words": "few" if len(task.text.split()) < _FEW_WORDS and not earlier else "enough",
            "goes_on": "yes" if earlier else "no",
            "parting": "yes" if self._is_parting(dialogue) else "no",
            "verified": "yes" if dialogue.verified else "no",
            **{
                name: slots.get(name, "none") if slot.values else ("given" if name in slots else "none")
                for name, slot in self._brain.slots.items()
            },
        }
        values = {
            **_order_values(pick),
            "order_id": pick.number,
            "items": _items(words, pick),
            "slot": slots,
            "query": self._query(earlier, task.text)[:_QUERY_MAX_CHARS],
            "last": last_text,
            "last_slow": re.sub(r"\d{4,}", lambda m: ", ".join(m[0]), last_text),
            "last_short": next(iter(split_sentences(last_text)), ""),
            "rest": "",
            "summary": self._summary(dialogue, book),
            "subject": " / ".join(reversed(words))[-_SUBJECT_MAX_CHARS:],
        }
        return Situation(dialogue, task, intent, words, facts, values)

    def _possible(self, intent: str, request: LlmRequest) -> str:
        """The intent, or the one it counts as where the tool it needs is not there."""
        entry = self._brain.intents.get(intent)
        if entry is None or not entry.tool or any(tool.name == entry.tool for tool in request.tools):
            return intent
        return entry.otherwise

    def _narrowed(self, pick: Pick, intent: str) -> Pick:
        """Where no single order is pointed at: those that the intent can be about, if there are any."""
        entry = self._brain.intents.get(intent)
        if pick.how not in ("none", "several", "all") or entry is None or not entry.states:
            return pick
        fitting = tuple(order for order in pick.orders if order.get("status") in entry.states)
        if not fitting:
            return pick
        return replace(pick, orders=fitting, how="one" if pick.is_pointing and len(fitting) == 1 else pick.how)

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
        if entry is not None and (entry.topic == "order" or entry.about_orders):
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
            if earlier != NO_INTENT and self._brain.intents[earlier].about_orders:
                return earlier
        return self._brain.default_aspect

    async def with_result(self, situation: Situation, call: ToolCall, result: ToolResult) -> Situation:
        """The situation once a tool has answered."""
        data = result.data
        facts = {
            **situation.facts,
            "tool": result.name,
            "result": result.status.value,
            "reason": result.reason,
            "answerable": "yes" if data.get("answerable") else "no",
        }
        values = {**situation.values, "result": _speakable(data), "spoken": result.spoken}
        orders = data.get("orders")
        if isinstance(orders, list):
            book = OrderBook(digits=self._brain.order_digits).with_result(orders)
            pick = self._found(book, situation)
            facts |= {"orders": count_word(pick.orders), "picked": pick.how}
            told = _order_values(replace(pick, how="one") if pick.how == "focus" else pick)
            values |= {**told, "items": _items(situation.words, pick)}
        passages = data.get("passages")
        if data.get("answerable") and isinstance(passages, list):
            question = str(json.loads(call.arguments).get("query", situation.task.text))
            answer = await extract_answer(question, passages, self._embedder)
            values["answer"] = answer
            facts["answerable"] = "yes" if answer else "no"
        return replace(situation, facts=facts, values=values)

    def _found(self, book: OrderBook, situation: Situation) -> Pick:
        """The orders of a result that the words for the task point at, the newest words first; else all of them."""
        picks = [book.pick(words, self._brain.references) for words in (situation.task.text, *situation.words[1:])]
        pick = next((pick for pick in picks if pick.is_pointing and pick.orders), None)
        entry = self._brain.intents.get(situation.intent)
        about_one = entry is not None and entry.about_orders
        if pick is None and about_one and situation.facts["picked"] == "focus":  # none of the others was meant
            talked_about = str(situation.values["order"]["order_id"])
            pick = book.pick(talked_about, self._brain.references)
            pick = replace(pick, how="focus", number="") if pick.orders else None
        return self._narrowed(pick or picks[0], situation.intent)

    def _misses(self, dialogue: Dialogue) -> str:
        count = 0
        for text in dialogue.agent_texts():
            if not any(self._phrases.spoken_as(name, text) for name in ("not_understood", "not_understood_human")):
                break
            count += 1
        return ("none", "once")[count] if count < 2 else "often"

    def _asked(self, dialogue: Dialogue, request: LlmRequest) -> str:
        return self._threads.asked(dialogue) or request.open_question.value

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


def count_word(orders: Sequence[Any]) -> str:
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


def _items(words: Sequence[str], pick: Pick) -> list[dict[str, Any]]:
    """The things of the one order that the words name."""
    return named_items(words, pick.orders[0]) if len(pick.orders) == 1 else []


def _speakable(record: Mapping[str, Any]) -> dict[str, Any]:
    """An order or a result as templates see it: its amounts carry their currency."""
    currency = record.get("currency", "")
    amounts = {name: (record[name], currency) for name in _AMOUNTS if record.get(name) is not None}
    return {**record, **amounts}
