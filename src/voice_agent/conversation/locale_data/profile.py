"""What a locale consists of."""

from __future__ import annotations

from dataclasses import dataclass

from voice_agent.conversation.locale_data.turn_words import TurnWords


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the agent says of its own accord. Each is one or more segments; ``{…}`` fields are filled by the machine."""

    greeting: tuple[str, ...]
    ask_pin: tuple[str, ...]
    ask_pin_again: tuple[str, ...]
    pin_accepted: str
    pin_wrong: tuple[str, ...]
    pin_incomplete: tuple[str, ...]  # {expected}
    pin_locked: tuple[str, ...]
    pin_unavailable: tuple[str, ...]
    ask_code: tuple[
        str, ...
    ]  # {expected}; after a right PIN, what the factor says of its code comes before the last one
    ask_code_again: tuple[str, ...]  # {expected}
    code_wrong: tuple[str, ...]
    code_incomplete: tuple[str, ...]  # {expected}
    code_unavailable: tuple[str, ...]
    code_missing: tuple[str, ...]  # a code is required and the caller has none: said before a handover
    blocked: tuple[str, ...]
    abuse: tuple[str, ...]
    card_details: tuple[str, ...]  # the caller offers or tells card details, which no tool here may take
    timeout: tuple[str, ...]
    failure: tuple[str, ...]
    unavailable: tuple[str, ...]  # nothing works: said before a handover, so without fields, from what is prepared
    tool_failed: str  # where the tool has no words of its own in this language
    tool_unsure: str  # the same for a change of which nobody knows whether it was made
    offer_colleague: str  # said after a tool's failure
    not_certain: str  # instead of a claim that nothing known supports
    start_again: str  # an answer broke off, and is given anew
    fillers: tuple[str, ...]  # an answer is late; each is one phrase
    fillers_looking: tuple[str, ...]  # a tool is late
    not_heard: tuple[str, ...]
    still_there: tuple[str, ...]
    go_on: tuple[str, ...]  # said at a pause in a long turn, to show that the agent listens
    idle_goodbye: tuple[str, ...]
    session_over: tuple[str, ...]
    handover_connected: tuple[str, ...]
    handover_callback: tuple[str, ...]  # {reference}
    handover_later: tuple[str, ...]  # the callback without a reference, where only prepared words can be said
    handover_failed: tuple[str, ...]
    busy: str


@dataclass(frozen=True, slots=True)
class LocaleProfile:
    """One row. ``tag`` is a BCP 47 tag; word sets are lower case, without punctuation. ``backchannels`` (and
    ``farewells``, while the call ends) are words and phrases of a listener who leaves the floor to the agent;
    ``stop_words`` take it. ``agreements`` and ``refusals`` answer "is that right?", before something is changed. Text
    of a prompt between ``<must-hear>`` and ``</must-hear>`` is spoken to its end, whatever the caller says. ``voice`` is
    a name that the synthesis provider knows; empty: the voice it is set to."""

    tag: str
    name: str
    asr_language: str
    asr_hints: tuple[str, ...]
    system_prompt: str
    prompts: Prompts
    backchannels: frozenset[str]
    hesitations: frozenset[str]
    open_endings: frozenset[str]
    stop_words: frozenset[str]
    farewells: frozenset[str]
    yes_no_words: frozenset[str]
    agreements: frozenset[str]
    refusals: frozenset[str]
    digit_words: frozenset[str]
    turn_words: TurnWords
    voice: str = ""
