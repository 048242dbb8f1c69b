"""What users set, in the terms of those who work with it: seconds instead of milliseconds, one record a collaborator."""

from __future__ import annotations

from voice_agent.call.services import CallSettings
from voice_agent.config import AdmissionSettings, Settings, TurnSettings
from voice_agent.conversation.barge_in import BargeInSettings, FloorRules
from voice_agent.conversation.endpointing import EndpointingSettings
from voice_agent.conversation.machine import MachineSettings, SpeculationSettings
from voice_agent.gateway.overload import OverloadSettings
from voice_agent.tools.second_factor import load_second_factor
from voice_agent.tools.totp import TotpFactor


def call_settings(settings: Settings) -> CallSettings:
    """The call's own settings, in seconds, from those a user sets."""
    turn = settings.turn
    return CallSettings(
        machine=machine_settings(turn, settings.identity.pin_digits),
        vad_threshold=turn.vad_threshold,
        speech_start_s=turn.speech_start_ms / 1000,
        speech_stop_s=turn.speech_stop_ms / 1000,
        playout_lead_s=turn.playout_lead_ms / 1000,
        grounding=settings.knowledge.grounding,
    )


def overload_settings(admission: AdmissionSettings) -> OverloadSettings:
    return OverloadSettings(
        max_loop_lag_s=admission.max_loop_lag_ms / 1000,
        max_lateness_s=admission.max_playout_lateness_ms / 1000,
        calm_s=admission.calm_s,
        ramp_per_s=admission.ramp_calls_per_s,
    )


def barge_in_settings(turn: TurnSettings) -> BargeInSettings:
    return BargeInSettings(
        pause_s=turn.barge_in_pause_ms / 1000,
        patience_s=turn.barge_in_patience_ms / 1000,
        grace_s=turn.barge_in_grace_ms / 1000,
        rewind_s=turn.barge_in_rewind_ms / 1000,
        sure_confidence=turn.barge_in_sure_confidence,
        side_talk_db=turn.barge_in_side_talk_db,
        echo_share=turn.barge_in_echo_share,
        speaking=FloorRules(turn.barge_in_words, turn.barge_in_commit_ms / 1000),
        thinking=FloorRules(turn.barge_in_thinking_words, turn.barge_in_thinking_commit_ms / 1000),
        closing=FloorRules(turn.barge_in_closing_words, turn.barge_in_closing_commit_ms / 1000),
    )


def machine_settings(turn: TurnSettings, pin_digits: int) -> MachineSettings:
    return MachineSettings(
        endpointing=EndpointingSettings(
            min_s=turn.end_of_turn_min_ms / 1000,
            unsure_s=turn.end_of_turn_unsure_ms / 1000,
            max_s=turn.end_of_turn_max_ms / 1000,
            threshold=turn.end_of_turn_threshold,
            sure=turn.end_of_turn_sure,
            shape_s=turn.end_of_turn_shape_ms / 1000,
            opener_s=turn.end_of_turn_opener_ms / 1000,
            hold_s=turn.end_of_turn_hold_ms / 1000,
            patience_least=turn.caller_patience_min,
            patience_most=turn.caller_patience_max,
            order_digits=turn.order_number_digits,
            secret_digits=pin_digits,
        ),
        barge_in=barge_in_settings(turn),
        speculation=SpeculationSettings(
            enabled=turn.speculation,
            max_wait_s=turn.speculation_max_wait_ms / 1000,
            drafts_per_turn=turn.speculation_drafts,
        ),
        turn_timeout_s=turn.turn_timeout_ms / 1000,
        filler_after_s=turn.filler_after_ms / 1000,
        idle_prompt_s=turn.idle_prompt_s,
        idle_hangup_s=turn.idle_hangup_s,
        hold_patience_s=turn.hold_patience_s,
        acknowledge_after_s=turn.acknowledge_after_s,
        key_gap_s=turn.key_gap_ms / 1000,
        key_complete_s=turn.key_complete_ms / 1000,
        max_utterance_s=turn.max_utterance_s,
        session_ttl_s=turn.session_ttl_s,
        max_turns=turn.max_turns,
        max_failures=turn.max_failures,
    )


def secret_lengths(settings: Settings) -> frozenset[int]:
    """How many digits a PIN, and a code of the second factor, may have. Raises ``ConfigError`` for an unknown one."""
    identity = settings.identity
    codes: frozenset[int] = frozenset()
    if identity.uses_totp:
        codes = TotpFactor.code_lengths
    elif identity.second_factor:
        codes = load_second_factor(identity.second_factor).code_lengths
    return codes | {identity.pin_digits}
