"""The call's brain: ``handle(event, now)`` gives commands; ``deadline()`` says when it wants to be asked again."""

from voice_agent.conversation.machine.machine import CallMachine
from voice_agent.conversation.machine.settings import MachineSettings, SpeculationSettings

__all__ = ["CallMachine", "MachineSettings", "SpeculationSettings"]
