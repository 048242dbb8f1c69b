"""Human recordings: the prompts of Debian's ``asterisk-core-sounds-en-wav`` (one reader, 8 kHz, CC-BY-SA-3.0, Digium).

Only whole sentences are used, as a caller might say them; the agent cannot know what they are about, which is as good a
turn as any. The recordings are no part of this program.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voice_agent.errors import ConfigError
from voice_agent.evaluation.caller_audio import read_wav
from voice_agent.evaluation.caller_line import levelled
from voice_agent.evaluation.turn_taking.compose import joined_speech
from voice_agent.evaluation.turn_taking.voices import VOICE_RATE_HZ

DEFAULT_FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
HOW_TO_GET_THEM = (
    "human recordings are left out: {folder} has none. Install them (Debian, Ubuntu: apt-get install "
    "asterisk-core-sounds-en-wav) or name their folder with --recordings."
)

SENTENCES = {
    "vm-mailboxfull": "sorry but the user's mailbox can't accept more messages",
    "ss-noservice": "the number you have dialed is not in service please check the number and try again",
    "conf-onlyperson": "you are currently the only person in this conference",
    "vm-sorry": "i'm sorry i did not understand your response",
    "invalid": "i am sorry that's not a valid extension please try again",
    "tt-weasels": "weasels have eaten our phone system",
    "vm-msgsaved": "your message has been saved",
    "privacy-unident": "the party you are trying to reach does not accept unidentified calls",
    "dir-nomatch": "no directory entries match your search",
    "vm-passchanged": "your passwords have been changed",
    "tt-somethingwrong": "something is terribly wrong",
    "conf-extended": "the conference has been extended",
    "pbx-invalidpark": "i am sorry there is no call parked on that extension please try again",
    "demo-nomatch": "i'm sorry there are no matches for those keywords",
}
SIDE_TALK = (
    "queue-thankyou",
    "vm-nobodyavail",
    "transfer",
    "followme/sorry",
    "conf-userswilljoin",
    "priv-introsaved",
    "tt-monkeysintro",
    "vm-whichbox",
)


class HumanRecordings:
    """The recordings in ``folder``; ``available`` is false where it has none."""

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        self.folder = folder
        self.available = (folder / "digits" / "8.wav").is_file()

    def prompt(self, name: str) -> bytes:
        """One prompt at ``VOICE_RATE_HZ`` and the nominal level. Raises ``ConfigError`` where it cannot be read."""
        return levelled(read_wav(self.folder / f"{name}.wav", VOICE_RATE_HZ), VOICE_RATE_HZ)

    def digits(self, text: str, gap_s: float = 0.1) -> bytes:
        """Digits read one by one, "o" as "oh": ``digits("831o2")``. Raises ``ConfigError`` for another character."""
        names = ["oh" if digit == "o" else digit for digit in text]
        if not all(name == "oh" or name in "0123456789" for name in names):
            raise ConfigError(f"{text!r} is not made of digits")
        parts: Sequence[bytes] = [self.prompt(f"digits/{name}") for name in names]
        return joined_speech(parts, [gap_s] * (len(parts) - 1), VOICE_RATE_HZ)
