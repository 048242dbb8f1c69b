"""The reply that a call is speaking: at most one is alive, and what takes its place ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from voice_agent.call.dialogue_manager import DialogueManager
from voice_agent.call.door import Door
from voice_agent.call.playout import Playout
from voice_agent.call.reply import ReplyRunner
from voice_agent.call.services import CallServices
from voice_agent.call.tool_journal import ToolJournal
from voice_agent.conversation.commands import Say, StartReply
from voice_agent.conversation.events import Event
from voice_agent.conversation.grounding import EvidenceBook
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.models import Message, ReplyId
from voice_agent.observability.event_log import MaskEntry
from voice_agent.tools.base import ToolContext

Start = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class CurrentReply:
    """``start`` runs a task of the call. ``mask`` is applied to events before they are posted, ``reveal`` gives back to the
    caller's ear what a text holds as placeholders."""

    def __init__(
        self,
        services: CallServices,
        door: Door,
        playout: Playout,
        journal: ToolJournal,
        post: Callable[[Event], None],
        start: Start,
        *,
        locale: LocaleProfile,
        mask: MaskEntry,
        reveal: Callable[[str], str],
    ) -> None:
        self._services = services
        self._door = door
        self._playout = playout
        self._journal = journal
        self._post = post
        self._start = start
        self._locale = locale
        self._mask = mask
        self._reveal = reveal
        self._evidence = EvidenceBook()
        self._reply_id: ReplyId | None = None
        self._task: asyncio.Task[None] | None = None
        self._runner: ReplyRunner | None = None
        self._certain = asyncio.Event()

    def begin(self, command: Say | StartReply, history: tuple[Message, ...], context: ToolContext) -> None:
        """Speaks; a draft is held back, and changes nothing, until ``release``."""
        if self._task is not None:
            self._task.cancel()
        draft = isinstance(command, StartReply) and command.draft
        self._certain = asyncio.Event()
        if not draft:
            self._certain.set()
        dialogue = DialogueManager(
            self._services,
            context,
            self._journal,
            self._post_masked,
            locale=self._locale,
            mask=self._mask,
            certain=self._certain,
            evidence=self._evidence,
        )
        self._runner = ReplyRunner(
            self._services, dialogue, self._playout, self._post_masked, locale=self._locale, reveal=self._reveal
        )
        self._playout.begin(command.reply_id, held=draft)
        self._reply_id = command.reply_id
        self._task = self._start(self._runner.run(command, history), f"reply-{command.reply_id}")

    def release(self, reply_id: ReplyId) -> None:
        """The turn that a draft answers is certain."""
        self._certain.set()
        self._playout.unpause(reply_id)

    def fill(self, reply_id: ReplyId, text: str) -> None:
        if self._runner is not None:
            self._runner.fill(reply_id, text)

    def stop(self, reply_id: ReplyId) -> None:
        """Ends it and has the far side forget what it has not played; nothing happens to any other reply."""
        sent = self._playout.has_sent(reply_id)
        self._playout.cancel(reply_id)
        if self._task is not None and reply_id == self._reply_id:
            self._task.cancel()
            self._task = None
        if sent:
            with suppress(ConnectionError):  # the playout reports a lost connection
                self._door.clear(reply_id)

    def _post_masked(self, event: Event) -> None:
        self._post(self._mask(event))
