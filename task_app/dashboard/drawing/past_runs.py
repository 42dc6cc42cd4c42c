"""Bars of earlier runs of a task: is this one unusual?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from . import amounts
from .frame import rungs
from .scales import Scale, duration_scale
from .states import kind_of
from .svg import percent, tag, void

HEIGHT = 110
#: A run is at least so high, in pixels: one that took no time was a run as well.
_LEAST = 3
#: Below this number of runs nothing is typical.
_FEW = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a task; `seconds` None: it never started. `is_open`: it goes on, and has taken so long until now."""

    id: str
    state: str
    at: datetime
    seconds: float | None
    is_open: bool = False


def typical(runs: Sequence[Run]) -> tuple[float, float] | None:
    """Return between which times the middle four of five successful runs took; None where there are few."""
    took = sorted(run.seconds for run in runs if run.state == "SUCCESS" and run.seconds is not None)
    if len(took) < _FEW:
        return None
    return took[round(0.1 * (len(took) - 1))], took[round(0.9 * (len(took) - 1))]


def past_runs(
    runs: Sequence[Run],
    *,
    here: str,
    link: Callable[[str], str],
    usual: tuple[float, float] | None = None,
    name: str = "runs",
) -> Markup:
    """Draw the runs, oldest first, each a link to its job; the one with the id `here` is marked.

    `usual` is what is shaded; without it, it is computed from the runs that are shown, this one left out.
    """
    usual = usual or typical([run for run in runs if run.id != here])
    scale = duration_scale([run.seconds for run in runs if run.seconds is not None] + list(usual or ()), 3)
    verdict = _verdict(next((run for run in runs if run.id == here), None), usual)
    bars = [_bar(run, i, len(runs), scale, here, link) for i, run in enumerate(runs)]
    drawn = tag(
        "svg",
        *rungs(scale, 0, HEIGHT, with_values=bool(runs)),
        _shade(usual, scale) if usual else None,
        *bars,
        class_="chart-plot past-runs",
        height=HEIGHT,
        role="group",
        aria_labelledby=f"{name}-verdict",
    )
    caption = tag("figcaption", tag("span", verdict, class_="chart-words", id=f"{name}-verdict"), _note(scale))
    return tag("figure", caption, tag("div", drawn, class_="chart-body"), class_="chart", id=name)


def _note(scale: Scale) -> Markup | None:
    return tag("span", "logarithmic", class_="chart-note") if scale.is_log else None


def _shade(usual: tuple[float, float], scale: Scale) -> Markup:
    low, high = (round(HEIGHT * (1 - scale(value))) for value in usual)
    return void("rect", class_="usual", width="100%", y=min(high, low - 2), height=max(2, low - high))


def _bar(run: Run, index: int, number: int, scale: Scale, here: str, link: Callable[[str], str]) -> Markup:
    slot = 1 / max(number, 24)
    x, is_here = index * slot, run.id == here
    height = _LEAST if run.seconds is None else max(_LEAST, round(HEIGHT * scale(run.seconds)))
    took = "never ran" if run.seconds is None else amounts.duration(run.seconds) + (" so far" if run.is_open else "")
    words = f"{'This job: ' if is_here else ''}{run.state}, {took}, {amounts.moment(run.at)}"
    return tag(
        "a",
        tag("title", words),
        # As high as the chart, so that a small bar is no smaller to hit.
        void("rect", class_="reach", x=percent(x), width=percent(slot), y=-8, height=HEIGHT + 16),
        void(
            "rect",
            class_="bar open" if run.is_open else "bar",
            data_kind=kind_of(run.state),
            x=percent(x + slot * 0.12),
            width=percent(slot * 0.76),
            y=HEIGHT - height,
            height=height,
            rx=1,
        ),
        tag("text", "▲", class_="here", x=percent(x + slot / 2), y=HEIGHT + 14) if is_here else None,
        href=link(run.id),
        aria_label=words,
        aria_current="true" if is_here else None,
        data_run="",
    )


def _verdict(run: Run | None, usual: tuple[float, float] | None) -> str:
    if usual is None:
        return "Too few runs have succeeded to say what is usual."
    low, high = (amounts.duration(value) for value in usual)
    range_ = f"Four of five successful runs took {low} to {high}" if low != high else f"Runs usually take {low}"
    if run is None or run.seconds is None:
        return f"{range_}."
    took = amounts.duration(run.seconds)
    if run.is_open:
        compared = "longer than usual already" if run.seconds > usual[1] else "nothing unusual so far"
        return f"{range_}; this one has run for {took}: {compared}."
    if run.seconds > usual[1]:
        times = run.seconds / usual[1] if usual[1] else 0
        return f"{range_}; this one took {took}, " + (
            f"{times:.0f} times as long." if times >= 2 else "a little longer."
        )
    return f"{range_}; this one took {took}, " + ("less than usual." if run.seconds < usual[0] else "as usual.")
