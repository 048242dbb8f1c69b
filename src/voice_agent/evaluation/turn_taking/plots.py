"""The page's plots as SVG text. Colours are the page's (``--a`` this run, ``--b`` what is wrong, ``--d`` reference)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voice_agent.evaluation.turn_taking.operating_curve import OperatingCurve
from voice_agent.evaluation.turn_taking.timeline import CallTimeline, Span

_WIDTH = 760.0
_LEFT = 210.0
_ROW = 26.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A share with its interval, and what it was in the baseline."""

    title: str
    value: float
    low: float
    high: float
    before: float | None


def latency_plot(groups: Mapping[str, Sequence[float]]) -> str:
    """One row a family: every answer a dot, its median and P95 strokes; milliseconds."""
    if not groups:
        return "<p>No answers.</p>"
    most = min(3000.0, max(1000.0, *(max(values) for values in groups.values())))
    step = 250.0 if most <= 1500 else 500.0
    height = _ROW * len(groups) + 30
    parts = [_scale(tick, _x(tick, most), height, f"{tick:.0f} ms") for tick in np.arange(0, most + 1, step)]
    for row, (name, values) in enumerate(groups.items()):
        y = _ROW * (row + 0.5)
        parts.append(_label(name, y))
        parts += [
            f'<circle cx="{_x(min(v, most), most):.1f}" cy="{y + 5 * ((n % 3) - 1):.1f}" r="3" fill="var(--a)" '
            f'opacity=".45"><title>{v:.0f} ms</title></circle>'
            for n, v in enumerate(values)
        ]
        for share, wide in ((0.5, 3), (0.95, 1.5)):
            x = _x(min(float(np.quantile(values, share)), most), most)
            parts.append(_stroke(x, y - 10, x, y + 10, "--ink", wide))
    return _svg(height, parts)


def interval_plot(intervals: Sequence[Interval]) -> str:
    """One row a share, 0 to 1: value and interval, and the baseline's value as a ring."""
    height = _ROW * len(intervals) + 30
    parts = [_scale(tick, _x(tick, 1.0), height, f"{tick:g}") for tick in (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)]
    for row, each in enumerate(intervals):
        y = _ROW * (row + 0.5)
        parts.append(_label(each.title, y))
        parts.append(_stroke(_x(min(each.low, 1), 1), y, _x(min(each.high, 1), 1), y, "--a", 3))
        parts.append(f'<circle cx="{_x(min(each.value, 1), 1):.1f}" cy="{y}" r="5" fill="var(--a)"/>')
        if each.before is not None:
            x = _x(min(each.before, 1), 1)
            parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="7" fill="none" stroke="var(--d)" stroke-width="2"/>')
    return _svg(height, parts)


def curve_plot(curve: OperatingCurve) -> str:
    """Share of turns cut off (down is good) over the median end-of-turn delay."""
    height, most_s = 300.0, 2.0
    top = max(0.2, *curve.cut_share)

    def y(share: float) -> float:
        return 10 + (height - 50) * (1 - share / top)

    parts = [
        _scale(tick, _x(tick, most_s), height, f"{1e3 * tick:.0f} ms") for tick in np.arange(0.0, most_s + 0.1, 0.25)
    ]
    for share in np.arange(0.0, top + 0.01, 0.05 if top < 0.5 else 0.1):
        parts.append(_stroke(_LEFT, y(share), _WIDTH - 20, y(share), "--line", 1))
        parts.append(f'<text x="{_LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{100 * share:.0f} %</text>')
    fixed = " ".join(f"{_x(min(s, most_s), most_s):.1f},{y(min(share, top)):.1f}" for s, share in curve.fixed)
    parts.append(f'<polyline points="{fixed}" fill="none" stroke="var(--d)" stroke-width="2" stroke-dasharray="5 4"/>')
    own = list(zip(curve.delay_s, curve.cut_share, strict=True))
    points = " ".join(f"{_x(min(s, most_s), most_s):.1f},{y(share):.1f}" for s, share in own)
    parts.append(f'<polyline points="{points}" fill="none" stroke="var(--a)" stroke-width="2.5"/>')
    parts += [
        f'<circle cx="{_x(min(s, most_s), most_s):.1f}" cy="{y(share):.1f}" r="4" fill="var(--a)">'
        f"<title>{1e3 * s:.0f} ms, {100 * share:.1f} %</title></circle>"
        for s, share in own
    ]
    parts.append(_stroke(_x(0.3, most_s), 10, _x(0.3, most_s), height - 40, "--c", 1.5))
    parts.append(_stroke(_LEFT, y(0.05), _WIDTH - 20, y(0.05), "--c", 1.5))
    return _svg(height, parts)


def call_timeline(call: CallTimeline) -> str:
    """One call: what the caller's side did above, when the agent was audible below."""
    height = 92.0
    length_s = max(call.ends_s, 1.0)

    def x(at_s: float) -> float:
        return 60 + (_WIDTH - 80) * at_s / length_s

    def bar(span: Span, top: float, colour: str, title: str) -> str:
        width = max(1.0, x(span[1]) - x(span[0]))
        return (
            f'<rect x="{x(span[0]):.1f}" y="{top}" width="{width:.1f}" height="20" fill="var({colour})" opacity=".7">'
            f"<title>{html.escape(title)}</title></rect>"
        )

    parts = ['<text x="0" y="26">caller</text>', '<text x="0" y="56">agent</text>']
    for act in call.acts:
        colour = "--c" if act.meant_as.wants_the_floor else "--b"
        parts.append(bar((act.start_s, act.end_s), 12, colour, f"{act.meant_as.value}: {act.label}"))
        parts += [bar(pause, 12, "--paper", "pause") for pause in act.pauses]
    parts += [bar(span, 42, "--a", "agent") for span in call.sound]
    for tick in np.arange(0, length_s, 5.0):
        parts.append(f'<text class="soft" x="{x(tick):.1f}" y="84" text-anchor="middle">{tick:.0f}</text>')
    return _svg(height, parts)


def _x(value: float, most: float) -> float:
    return _LEFT + (_WIDTH - 20 - _LEFT) * value / most


def _scale(tick: float, x: float, height: float, text: str) -> str:
    line = _stroke(x, 4, x, height - 24, "--line", 1)
    return f'{line}<text class="soft" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{text}</text>'


def _label(text: str, y: float) -> str:
    return f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{html.escape(text)}</text>'


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="var({colour})" stroke-width="{width}"/>'
    )


def _svg(height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img">{"".join(parts)}</svg>'
