"""The families of scripted calls, composed from voices, recordings and noises; the same seed gives the same calls.

Levels: every voice stands at ``NOMINAL_DBFS``; what is louder or weaker is said in decibels relative to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from voice_agent.audio.frames import FULL_SCALE, gained, pcm_of, samples_of
from voice_agent.evaluation.caller_audio import whole_resampled
from voice_agent.evaluation.caller_line import NOMINAL_DBFS, Echo, levelled, through_telephone
from voice_agent.evaluation.caller_noises import click, cough, hum, knock, music, typing
from voice_agent.evaluation.turn_taking import phrases
from voice_agent.evaluation.turn_taking.compose import cut_before, joined_speech
from voice_agent.evaluation.turn_taking.recordings import SENTENCES, SIDE_TALK, HumanRecordings
from voice_agent.evaluation.turn_taking.script import Line, Script, Step
from voice_agent.evaluation.turn_taking.timeline import Kind
from voice_agent.evaluation.turn_taking.voices import VOICE_RATE_HZ

_CALLERS = ("heart", "low")
_TELEPHONE_HZ = 8_000
_OPENING = "Where is my order eight three one oh two?"
# Noises beside the caller's speech, in decibels relative to it: a cough is louder, a keyboard is further away.
_NOISES: tuple[tuple[str, Callable[[int], bytes], float], ...] = (
    ("cough", cough, 4.0),
    ("click", click, 0.0),
    ("typing", typing, -12.0),
    ("door knock", knock, -3.0),
)
_MUSIC_DB = -10.0
_BACKCHANNEL_DB = -3.0
_SIDE_TALK_DB = (-12.0, -15.0, -18.0)
SNR_DB = (20.0, 10.0, 5.0)
_CUT_TOO = ("mid-sentence", "date", "order number")
_ECHOES = (Echo(0.08, 30.0), Echo(0.15, 18.0), Echo(0.25, 12.0), Echo(0.12, 24.0))


class Voices(Protocol):
    """What scenarios need of the callers' voices."""

    def said(self, text: str, voice: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Materials:
    """``quick`` asks for one short call of a family; ``seed`` decides who says what when."""

    voices: Voices
    humans: HumanRecordings
    seed: int
    quick: bool

    def draw(self, family: str) -> Random:
        return Random(f"{self.seed}/{family}")  # noqa: S311 - composition, no secret

    def calls(self, full: int) -> int:
        return 1 if self.quick else full


@dataclass(slots=True)
class WantedTexts:
    """Stands in for the voices and notes what is asked of them; a tenth of a second of a square wave is all it says."""

    texts: list[tuple[str, str]] = field(default_factory=list)

    def said(self, text: str, voice: str) -> bytes:
        self.texts.append((text, voice))
        return b"\x00\x08" * (VOICE_RATE_HZ // 10)


def ordinary(material: Materials) -> list[Script]:
    """Whole questions, asked once the agent is silent: synthesised in two voices, and human recordings."""
    draw = material.draw("ordinary")
    texts = [*phrases.QUESTIONS, *phrases.MORE_QUESTIONS]
    draw.shuffle(texts)
    about_orders = [text for text in texts if "order" in text and "store" not in text]
    texts = [text for text in texts if text not in about_orders]
    names = list(SENTENCES)
    draw.shuffle(names)
    scripts = []
    for number in range(material.calls(4)):
        mine = texts[number * 4 : number * 4 + 4] if number else [*about_orders, *texts[:2]]
        steps = [
            _turn(material, text, _CALLERS[(number + at) % 2], variant="synthesised") for at, text in enumerate(mine)
        ]
        if material.humans.available:
            for at, name in enumerate(names[number * 2 : number * 2 + 2]):
                human = Step(Kind.TURN, SENTENCES[name], material.humans.prompt(name), "human")
                steps.insert(1 + 2 * at, human)
        some = steps[1:5] if material.quick else steps
        scripts.append(_script(material, "ordinary", number, some, verified=not number and not material.quick))
    return scripts


def pauses(material: Materials) -> list[Script]:
    """Turns with a silence of 0.3, 0.6 or 1.0 s inside; "flowing" where the melody before it goes on."""
    draw = material.draw("pauses")
    turns: list[Step] = []
    for number, (where, parts) in enumerate(phrases.PAUSED * 2):
        # Every text comes with two of the three pauses, in two voices; every pause equally often.
        again = number // len(phrases.PAUSED)
        pause_s = phrases.PAUSES_S[(number + again) % len(phrases.PAUSES_S)]
        voice = _CALLERS[(number + again) % 2]
        flowing = bool(again) and where in _CUT_TOO and len(parts) == 2
        said: Sequence[bytes]
        if flowing:
            said = _one_sentence_in_two(material, parts, voice)
        else:
            said = [material.voices.said(part, voice) for part in parts]
        pcm = joined_speech(said, [pause_s] * (len(said) - 1), VOICE_RATE_HZ)
        variant = f"{where}{', flowing' if flowing else ''}, {pause_s:g} s"
        turns.append(Step(Kind.TURN, f" [{pause_s:g} s] ".join(parts), pcm, variant))
    if material.humans.available:
        turns += [
            _digits(material, "831", "o2", "order number read by a human", pause_s) for pause_s in phrases.PAUSES_S
        ]
    draw.shuffle(turns)
    about_orders = [turn for turn in turns if turn.variant.startswith("order number")]
    others = [turn for turn in turns if turn not in about_orders]
    if material.quick:
        return [_script(material, "pauses", 0, [*others[:3], *about_orders[:1]])]
    shares = [*_shares(about_orders, 2), *_shares(others, 3)]  # only orders need a caller who has proved who they are
    scripts = [_script(material, "pauses", number, share, verified=number < 2) for number, share in enumerate(shares)]
    if material.humans.available:
        for pause_s in phrases.PAUSES_S:
            asked = _turn(material, _OPENING, "low", variant="context")
            pin = _digits(material, "42", "71", "PIN read by a human", pause_s)
            scripts.append(Script("pauses", f"pauses {len(scripts) + 1}", (asked, pin)))
    return scripts


def answers(material: Materials) -> list[Script]:
    """Short answers to a yes/no question of the agent."""
    scripts = []
    for number in range(material.calls(3)):
        voice = _CALLERS[number % 2]
        steps: list[Step] = []
        for opening, replies in phrases.ANSWERS[: 2 if material.quick else None]:
            steps.append(_turn(material, opening, voice, variant="context"))
            steps += [_turn(material, reply, voice, variant="yes/no answer") for reply in replies]
        scripts.append(_script(material, "answers", number, steps))
    return scripts


def interruptions(material: Materials) -> list[Script]:
    """A long answer is interrupted: by a request, by "stop", "no, wait", "actually"; by human recordings."""
    draw = material.draw("interruptions")
    names = list(SENTENCES)
    draw.shuffle(names)
    scripts = []
    for number in range(material.calls(5)):
        order = list(phrases.INTERRUPTIONS)
        draw.shuffle(order)
        steps = [_turn(material, phrases.QUESTIONS[number], _CALLERS[number % 2], variant="context")]
        for at, (variant, text, answer) in enumerate(order[:5]):
            if not steps[-1].expects_answer:  # the agent is silent now: something must make it speak again
                question = phrases.QUESTIONS[(5 + number + at) % len(phrases.QUESTIONS)]
                steps.append(_turn(material, question, _CALLERS[(number + at) % 2], variant="context"))
            pcm = material.voices.said(text, _CALLERS[(number + at) % 2])
            heard_s = round(draw.uniform(0.7, 2.2), 2)
            steps.append(Step(Kind.INTERRUPTION, text, pcm, variant, heard_s, answer))
        if material.humans.available and steps[-1].expects_answer:
            pcm = material.humans.prompt(names[number])
            steps.append(Step(Kind.INTERRUPTION, SENTENCES[names[number]], pcm, "human", 1.5))
        scripts.append(_script(material, "interruptions", number, steps))
    return scripts


def backchannels(material: Materials) -> list[Script]:
    """A listener's "mm-hmm", "uh-huh", "yeah", "okay" and "right" during long answers."""
    sounds = [
        Step(Kind.BACKCHANNEL, f"mm-hmm (hummed, {seed})", _relative(hum(seed), _BACKCHANNEL_DB), "hummed")
        for seed in range(8)
    ]
    for at, text in enumerate(phrases.BACKCHANNELS * 2):
        voice = _CALLERS[(at + at // len(phrases.BACKCHANNELS)) % 2]
        sounds.append(
            Step(Kind.BACKCHANNEL, text, gained(material.voices.said(text, voice), _BACKCHANNEL_DB), "spoken")
        )
    return _over_answers(material, "backchannels", sounds, 4)


def noises(material: Materials) -> list[Script]:
    """Coughs, clicks, typing and door knocks during long answers, and while nobody speaks."""
    sounds = [
        Step(Kind.NOISE, f"{name} {seed}", _relative(make(seed), level_db), name)
        for seed in range(6)
        for name, make, level_db in _NOISES
    ]
    return _over_answers(material, "noises", sounds, 4, in_silence=2)


def side_talk(material: Materials) -> list[Script]:
    """Somebody else in the room, 12 to 18 dB weaker, during long answers and while nobody speaks."""
    sounds: list[Step] = []
    for at, text in enumerate(phrases.SIDE_TALK * 2):
        level_db = _SIDE_TALK_DB[at % len(_SIDE_TALK_DB)]
        pcm = gained(material.voices.said(text, "high" if at < len(phrases.SIDE_TALK) else "low"), level_db)
        sounds.append(Step(Kind.SIDE_TALK, text, pcm, f"synthesised, {level_db:g} dB"))
    if material.humans.available:
        for at, name in enumerate(SIDE_TALK):
            level_db = _SIDE_TALK_DB[at % len(_SIDE_TALK_DB)]
            pcm = gained(material.humans.prompt(name), level_db)
            sounds.append(Step(Kind.SIDE_TALK, f"recording {name}", pcm, f"human, {level_db:g} dB"))
    return _over_answers(material, "side-talk", sounds, 4, in_silence=2)


def background_music(material: Materials) -> list[Script]:
    """Music from another room, 10 dB weaker, during long answers and while nobody speaks."""
    sounds = [Step(Kind.NOISE, f"music {seed}", _relative(music(seed), _MUSIC_DB), "music") for seed in range(6)]
    return _over_answers(material, "music", sounds, 2, in_silence=1)


def echo(material: Materials) -> list[Script]:
    """The agent hears itself, 80 to 250 ms late and 12 to 30 dB weaker, through whole answers; and is interrupted."""
    scripts = []
    for number in range(material.calls(len(_ECHOES))):
        line = Line(echo=_ECHOES[number])
        variant = f"{1e3 * _ECHOES[number].delay_s:g} ms, -{_ECHOES[number].attenuation_db:g} dB"
        listen = Step(Kind.ECHO, "the agent's own voice", b"", variant, heard_s=0.3)
        voice = _CALLERS[(number + 1) % 2]
        question, interruption = phrases.QUESTIONS[number], phrases.QUESTIONS[number + 4]
        over = Step(Kind.INTERRUPTION, interruption, material.voices.said(interruption, voice), variant, 0.5)
        steps = [listen, _turn(material, question, voice, variant=variant), listen, over, listen]
        scripts.append(_script(material, "echo", number, steps, line=line))
    return scripts


def noise(material: Materials) -> list[Script]:
    """Questions and interruptions in a noisy room, at 20, 10 and 5 dB of signal to noise."""
    scripts = []
    for number in range(material.calls(2 * len(SNR_DB))):
        snr_db = SNR_DB[number % len(SNR_DB)]
        line = Line(noise_seed=material.seed + number, noise_dbfs=NOMINAL_DBFS - snr_db)
        texts = [phrases.QUESTIONS[(number * 3 + at) % len(phrases.QUESTIONS)] for at in range(3)]
        variant = f"SNR {snr_db:g} dB"
        voice = _CALLERS[number % 2]
        steps = [_turn(material, text, voice, variant=variant) for text in texts[:2]]
        steps.append(Step(Kind.INTERRUPTION, texts[2], material.voices.said(texts[2], voice), variant, 1.2))
        scripts.append(_script(material, "noise", number, steps, line=line))
    return scripts


def telephone(material: Materials) -> list[Script]:
    """Questions, interruptions and backchannels over a telephone: 8 kHz, 300 to 3400 Hz, mu-law."""
    scripts = []
    for number in range(material.calls(3)):
        voice = _CALLERS[number % 2]
        texts = [phrases.QUESTIONS[(number * 3 + at + 2) % len(phrases.QUESTIONS)] for at in range(3)]
        steps = [
            _turn(material, texts[0], voice, variant="telephone"),
            Step(Kind.BACKCHANNEL, "mm-hmm (hummed)", _relative(hum(20 + number), _BACKCHANNEL_DB), "telephone", 1.0),
            Step(Kind.INTERRUPTION, texts[1], material.voices.said(texts[1], voice), "telephone", 2.0),
            Step(Kind.NOISE, "cough", _relative(cough(20 + number), 4.0), "telephone", 1.0),
            _turn(material, texts[2], voice, variant="telephone"),
        ]
        scripts.append(_script(material, "telephone", number, [_telephoned(step) for step in steps], line=Line(8_000)))
    return scripts


FAMILIES: dict[str, Callable[[Materials], list[Script]]] = {
    "ordinary": ordinary,
    "pauses": pauses,
    "answers": answers,
    "interruptions": interruptions,
    "backchannels": backchannels,
    "noises": noises,
    "side-talk": side_talk,
    "music": background_music,
    "echo": echo,
    "noise": noise,
    "telephone": telephone,
}
QUICK_FAMILIES = ("ordinary", "pauses", "interruptions", "backchannels", "noises", "side-talk")


def _over_answers(
    material: Materials, family: str, sounds: Sequence[Step], calls: int, *, in_silence: int = 0
) -> list[Script]:
    """Each answer is accompanied by two of the sounds and interrupted by the next question; ``in_silence`` sounds of each
    call fall into the silence after the last answer."""
    draw = material.draw(family)
    order = list(sounds)
    draw.shuffle(order)
    count = material.calls(calls)
    share = order[: 6 + in_silence] if material.quick else order
    size = -(-len(share) // count)
    scripts = []
    for number in range(count):
        mine = share[number * size : (number + 1) * size]
        quiet, loud = mine[:in_silence], mine[in_silence:]
        steps: list[Step] = []
        for at in range(0, len(loud), 2):
            text = phrases.QUESTIONS[(number * 5 + at // 2) % len(phrases.QUESTIONS)]
            pcm = material.voices.said(text, _CALLERS[number % 2])
            steps.append(Step(Kind.INTERRUPTION if at else Kind.TURN, text, pcm, "context", 1.3 if at else None))
            steps.append(_over(loud[at], round(draw.uniform(0.8, 1.4), 2)))
            if at + 1 < len(loud):
                steps.append(_over(loud[at + 1], 2.2))
        steps += quiet
        scripts.append(_script(material, family, number, steps))
    return scripts


def _shares(steps: Sequence[Step], count: int) -> list[Sequence[Step]]:
    """The steps in ``count`` parts of about the same length."""
    size = -(-len(steps) // count)
    return [steps[at : at + size] for at in range(0, len(steps), size)]


def _over(step: Step, heard_s: float) -> Step:
    return Step(step.kind, step.label, step.pcm, step.variant, heard_s, step.expects_answer)


def _turn(material: Materials, text: str, voice: str, *, variant: str) -> Step:
    return Step(Kind.TURN, text, material.voices.said(text, voice), variant)


def _one_sentence_in_two(material: Materials, parts: Sequence[str], voice: str) -> tuple[bytes, bytes]:
    whole, beginning = " ".join(parts).replace(",", ""), parts[0].replace(",", "")
    return cut_before(material.voices.said(whole, voice), material.voices.said(beginning, voice), VOICE_RATE_HZ)


def _digits(material: Materials, first: str, second: str, where: str, pause_s: float) -> Step:
    parts = [material.humans.digits(first), material.humans.digits(second)]
    label = f"{' '.join(first)} [{pause_s:g} s] {' '.join(second)}"
    return Step(Kind.TURN, label, joined_speech(parts, [pause_s], VOICE_RATE_HZ), f"{where}, {pause_s:g} s")


def _relative(pcm: bytes, level_db: float) -> bytes:
    return levelled(pcm, VOICE_RATE_HZ, NOMINAL_DBFS + level_db)


def _telephoned(step: Step) -> Step:
    samples = samples_of(step.pcm) / FULL_SCALE
    pcm = through_telephone(pcm_of(whole_resampled(samples, VOICE_RATE_HZ, _TELEPHONE_HZ)), _TELEPHONE_HZ)
    return Step(step.kind, step.label, pcm, step.variant, step.heard_s, step.expects_answer)


def _script(
    material: Materials,
    family: str,
    number: int,
    steps: Sequence[Step],
    *,
    verified: bool = False,
    line: Line | None = None,
) -> Script:
    opening = material.voices.said(_OPENING, "heart") if verified else b""
    return Script(family, f"{family} {number + 1}", tuple(steps), line or Line(), opening=opening)
