"""Turn-taking."""

from __future__ import annotations

from pydantic import Field

from voice_agent.config.base import SettingsGroup


class TurnSettings(SettingsGroup):
    """When the caller has finished, when the caller interrupts, and how long anything may take."""

    vad_threshold: float = Field(
        0.5, alias="VAD_THRESHOLD", description="probability of speech that counts as voiced", gt=0, lt=1
    )
    vad_quiet_dbfs: float = Field(
        -60.0,
        alias="VAD_QUIET_DBFS",
        ge=-200,
        le=-30,
        description="audio below this is no speech, and costs no voice detection; -200 leaves nothing out",
    )
    speech_start_ms: int = Field(64, alias="SPEECH_START_MS", ge=32, description="speech this long is an onset")
    speech_stop_ms: int = Field(160, alias="SPEECH_STOP_MS", ge=64, description="silence this long is a pause")
    end_of_turn_min_ms: int = Field(200, alias="END_OF_TURN_MIN_MS", ge=0, description="silence before any turn ends")
    end_of_turn_unsure_ms: int = Field(800, alias="END_OF_TURN_UNSURE_MS", ge=100, description="when it may go on")
    end_of_turn_max_ms: int = Field(1800, alias="END_OF_TURN_MAX_MS", ge=200, description="no pause waits longer")
    end_of_turn_threshold: float = Field(
        0.5,
        alias="END_OF_TURN_THRESHOLD",
        ge=0,
        le=1,
        description="belief in an end at which a turn waits END_OF_TURN_UNSURE_MS; below it longer, above it shorter",
    )
    end_of_turn_sure: float = Field(
        0.85, alias="END_OF_TURN_SURE", gt=0, le=1, description="belief from which it waits only END_OF_TURN_MIN_MS"
    )
    end_of_turn_shape_ms: int = Field(
        500,
        alias="END_OF_TURN_SHAPE_MS",
        ge=0,
        description="after a date or number that is whole but may go on (a year, a further digit)",
    )
    end_of_turn_opener_ms: int = Field(
        800,
        alias="END_OF_TURN_OPENER_MS",
        ge=0,
        description="after 'hey' or 'so' alone: mostly more follows, yet a lone 'hello?' wants its answer within a second",
    )
    end_of_turn_hold_ms: int = Field(
        5000, alias="END_OF_TURN_HOLD_MS", ge=0, description="after 'hold on, let me get it': time to go on in the turn"
    )
    caller_patience_min: float = Field(
        0.8, alias="CALLER_PATIENCE_MIN", gt=0, le=1, description="waits in doubt shrink to this for who never pauses"
    )
    caller_patience_max: float = Field(
        1.8, alias="CALLER_PATIENCE_MAX", ge=1, description="and grow to this many times for who pauses long"
    )
    order_number_digits: int = Field(
        5, alias="ORDER_NUMBER_DIGITS", ge=1, le=13, description="digits of an order number; the last one ends the turn"
    )
    key_gap_ms: int = Field(
        2500, alias="KEY_GAP_MS", ge=100, description="a pause between keys that ends a typed number"
    )
    key_complete_ms: int = Field(
        500, alias="KEY_COMPLETE_MS", ge=0, description="after the last digit expected: time for '#' or one digit more"
    )
    hold_patience_s: float = Field(
        45, alias="HOLD_PATIENCE_S", gt=0, description="silence before 'are you still there?' after a request to wait"
    )
    acknowledge_after_s: float = Field(
        20, alias="ACKNOWLEDGE_AFTER_S", ge=0, description="in longer turns the agent says 'okay' at a pause; 0: never"
    )
    max_utterance_s: float = Field(
        60,
        alias="MAX_UTTERANCE_S",
        gt=1,
        description="a turn this long is taken as it is: nobody speaks so long by phone",
    )
    barge_in_pause_ms: int = Field(
        96, alias="BARGE_IN_PAUSE_MS", ge=32, description="speech that pauses the agent: three hops, a click is shorter"
    )
    barge_in_commit_ms: int = Field(
        600, alias="BARGE_IN_COMMIT_MS", ge=100, description="speech in which one sure word stops it for good"
    )
    barge_in_words: int = Field(2, alias="BARGE_IN_WORDS", ge=1, description="sure words that stop it before that")
    barge_in_patience_ms: int = Field(
        1500,
        alias="BARGE_IN_PATIENCE_MS",
        ge=500,
        description="a sound without words that lasts this long is noise: the agent goes on",
    )
    barge_in_grace_ms: int = Field(
        300, alias="BARGE_IN_GRACE_MS", ge=0, description="after an unsure word more may follow: the agent goes on then"
    )
    barge_in_rewind_ms: int = Field(
        240, alias="BARGE_IN_REWIND_MS", ge=0, le=500, description="repeated at most, to go on where a sound begins"
    )
    barge_in_sure_confidence: float = Field(
        0.8,
        alias="BARGE_IN_SURE_CONFIDENCE",
        ge=0,
        le=1,
        description="needed of short words; hums and coughs that look like words have less",
    )
    barge_in_side_talk_db: float = Field(
        10, alias="BARGE_IN_SIDE_TALK_DB", gt=0, description="this much below the caller's usual level is side talk"
    )
    barge_in_echo_share: float = Field(
        0.5, alias="BARGE_IN_ECHO_SHARE", gt=0, le=1, description="share of the agent's own audio that is an echo"
    )
    barge_in_thinking_words: int = Field(
        3,
        alias="BARGE_IN_THINKING_WORDS",
        ge=1,
        description="the same before the answer is heard: waiting costs nothing",
    )
    barge_in_thinking_commit_ms: int = Field(
        1000, alias="BARGE_IN_THINKING_COMMIT_MS", ge=100, description="the same before the answer is heard"
    )
    barge_in_closing_words: int = Field(
        3, alias="BARGE_IN_CLOSING_WORDS", ge=1, description="the same over a goodbye: it is often said back"
    )
    barge_in_closing_commit_ms: int = Field(
        800, alias="BARGE_IN_CLOSING_COMMIT_MS", ge=100, description="the same over a goodbye"
    )
    speculation: bool = Field(
        True, alias="SPECULATION", description="begin the answer before the turn is certain; costs wasted requests"
    )
    speculation_max_wait_ms: int = Field(
        800,
        alias="SPECULATION_MAX_WAIT_MS",
        ge=0,
        description="no draft for a turn that needs longer silence than this",
    )
    speculation_drafts: int = Field(
        2, alias="SPECULATION_DRAFTS_PER_TURN", ge=0, description="drafts that one turn may cost at most"
    )
    turn_timeout_ms: int = Field(
        5000, alias="TURN_TIMEOUT_MS", description="a turn without audio by then gets a spoken fallback", ge=100
    )
    filler_after_ms: int = Field(
        1300,
        alias="FILLER_AFTER_MS",
        ge=0,
        description="an answer later than this after the caller's last word is preceded by 'one moment'; 0: never",
    )
    idle_prompt_s: float = Field(12, alias="IDLE_PROMPT_S", gt=0, description="silence before 'are you still there?'")
    idle_hangup_s: float = Field(12, alias="IDLE_HANGUP_S", gt=0, description="further silence before goodbye")
    max_turns: int = Field(50, alias="MAX_TURNS_PER_SESSION", description="then the caller is handed over", ge=1)
    session_ttl_s: float = Field(
        1800, alias="SESSION_TTL_SECONDS", description="then the call ends with a goodbye", gt=0
    )
    max_failures: int = Field(
        3, alias="MAX_CONSECUTIVE_FAILURES", description="failed turns or tools in a row before a handover", ge=1
    )
    playout_lead_ms: int = Field(80, alias="PLAYOUT_LEAD_MS", ge=20, le=200, description="audio sent ahead of the ear")
