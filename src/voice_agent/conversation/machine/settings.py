"""Everything the machine may be told; plain records, so that a log header can carry them for a replay."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.conversation.agent_rules import AgentRules
from voice_agent.conversation.barge_in import BargeInSettings
from voice_agent.conversation.endpointing import EndpointingSettings


@dataclass(frozen=True, slots=True)
class SpeculationSettings:
    """``max_wait_s``: a turn that needs longer silence than this is expected to go on, so nothing is drafted for it."""

    enabled: bool = True
    max_wait_s: float = 0.8
    drafts_per_turn: int = 2


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """Durations in seconds. ``final_deadline_s`` is how long a recogniser's final may take after a pause before the
    partial stands in; ``key_gap_s`` ends a number typed on the keypad, ``key_complete_s`` one that has all its digits;
    ``hold_patience_s`` is the silence before "are you still there?" after "hold on"; in a turn longer than
    ``acknowledge_after_s`` (0: never) the agent says "okay" at a pause, and again after as long; silence of
    ``filler_after_s`` (0: never) while the caller waits for an answer is bridged by a filler; ``agent`` is who takes the
    call."""

    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    barge_in: BargeInSettings = field(default_factory=BargeInSettings)
    speculation: SpeculationSettings = field(default_factory=SpeculationSettings)
    turn_timeout_s: float = 5.0
    filler_after_s: float = 1.3
    final_deadline_s: float = 1.5
    key_gap_s: float = 2.5
    key_complete_s: float = 0.5
    idle_prompt_s: float = 12.0
    idle_hangup_s: float = 12.0
    hold_patience_s: float = 45.0
    acknowledge_after_s: float = 20.0
    secret_patience_s: float = 4.0
    transfer_deadline_s: float = 3.0
    session_ttl_s: float = 1800.0
    max_turns: int = 50
    max_failures: int = 3
    max_utterance_s: float = 60.0
    agent: AgentRules = field(default_factory=AgentRules)

    @property
    def secret_digits(self) -> int:
        return self.endpointing.secret_digits
