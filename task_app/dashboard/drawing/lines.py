"""Lines: how long jobs waited or ran, how many wait, and since when the oldest does."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup

from . import amounts
from .frame import FINE, SPAN, Chart, Panel, draw
from .scales import Scale, count_scale, duration_scale
from .svg import joined, void
from .window import Link, Series, Values, Window, known, runs

HEIGHT = 160
_LOW, _LOWER = 84, 56


def percentiles(
    window: Window,
    *,
    p50: Values,
    p95: Values,
    p99: Values,
    overall: Sequence[float | None] | None = None,
    name: str,
    title: str = "Run time",
    link: Link | None = None,
) -> Markup:
    """Draw percentiles of time spans, in seconds. None for a span says that no job was there: a gap.

    `overall` are the three of the whole window, for the legend; without them it has the newest ones.
    """
    rows = (("p50", p50), ("p95", p95), ("p99", p99))
    series = [_lasting(key, values, overall and overall[i : i + 1]) for i, (key, values) in enumerate(rows)]
    scale = duration_scale(value for one in series for value in known(one.values))
    low, middle, high = ([_height(value, scale, HEIGHT) for value in one.values] for one in series)
    marks = [_band(low, middle, "p50")]
    marks += [_line(heights, one.kind) for heights, one in zip((high, middle, low), reversed(series), strict=True)]
    unknown = [not window.was_seen(i) for i in range(window.count)]
    nothing = "Nothing was recorded in this time." if all(unknown) else "No job ran in this time."
    return draw(
        Chart(
            name=name,
            title=title,
            form="lines",
            window=window,
            series=series,
            panels=[Panel(height=HEIGHT, scale=scale, marks=Markup("").join(marks))],
            unknown=unknown,
            words=_words(window, series, unknown),
            note="logarithmic" if scale.is_log else None,
            empty=None if any(known(p99)) or any(known(p50)) else nothing,
            link=link,
        )
    )


def depth(
    window: Window,
    *,
    waiting: Values,
    oldest: Values,
    name: str,
    title: str = "Waiting jobs",
    link: Link | None = None,
) -> Markup:
    """Draw how many jobs wait, and below it how long the oldest has waited, in seconds. None: nobody looked."""
    jobs = Series(name="waiting", kind="wait", values=waiting, figure=_last(waiting, amounts.count))
    age = Series(name="oldest", kind="age", values=oldest, figure=_last(oldest, amounts.duration), is_duration=True)
    unknown = [not window.was_seen(i) or (value is None and window.is_over(i)) for i, value in enumerate(jobs.values)]
    # Nobody waits: nothing is oldest, and the line is on the ground, not away.
    ages = [0.0 if old is None and jobs.values[i] == 0 else old for i, old in enumerate(oldest)]
    scales = (count_scale(max(known(waiting), default=0), 3), duration_scale(known(ages), 2))
    heights = ([_height(v, scales[0], _LOW) for v in waiting], [_height(v, scales[1], _LOWER) for v in ages])
    return draw(
        Chart(
            name=name,
            title=title,
            form="depth",
            window=window,
            series=[jobs, age],
            panels=[
                Panel(height=_LOW, scale=scales[0], marks=_area(heights[0], "wait"), title="jobs"),
                Panel(height=_LOWER, scale=scales[1], marks=_area(heights[1], "age"), title="age of the oldest"),
            ],
            unknown=unknown,
            words=_words(window, [jobs, age], unknown),
            empty=None if known(waiting) else "Nothing was recorded in this time.",
            link=link,
        )
    )


def _lasting(key: str, values: Values, overall: Values | None) -> Series:
    figure = _last(values if overall is None else overall, amounts.duration)
    return Series(name=key, kind=key, values=values, figure=figure, is_duration=True)


def _last(values: Values, write: Callable[[float], str]) -> str:
    """Write the newest value that there is."""
    return next((write(value) for value in reversed(values) if value is not None), "–")


def _height(value: float | None, scale: Scale, height: int) -> int | None:
    return None if value is None else round(scale(value) * height * FINE)


def _line(heights: Sequence[int | None], kind: str) -> Markup:
    """Draw what is known; a value alone between gaps is a dot."""
    stretches = list(runs([height is not None for height in heights]))
    drawn = Markup("")
    for class_, wanted in (
        ("line", [r for r in stretches if len(r) > 1]),
        ("dot", [r for r in stretches if len(r) == 1]),
    ):
        if wanted:
            drawn += void("path", d="".join(trace(heights, run) for run in wanted), class_=class_, data_kind=kind)
    return drawn


def trace(heights: Sequence[int | None], run: range) -> str:
    """Write a line through the middles of spans, in steps."""
    ys = [height or 0 for height in heights[run.start : run.stop]]
    start = f"M{joined(run.start * SPAN + SPAN // 2, ys[0])}"
    if len(ys) == 1:
        return f"{start}h0"
    return f"{start}l{_steps(ys, SPAN)}"


def _steps(ys: Sequence[int], dx: int) -> str:
    numbers = [n for before, y in pairwise(ys) for n in (dx, y - before)]
    return joined(*numbers)


def _band(low: Sequence[int | None], high: Sequence[int | None], kind: str) -> Markup:
    """Fill what lies between two lines."""
    both = [None if a is None or b is None else (a, b) for a, b in zip(low, high, strict=True)]
    d = [ring(low, high, run) for run in runs([pair is not None for pair in both]) if len(run) > 1]
    return void("path", d="".join(d), class_="band", data_kind=kind) if d else Markup("")


def ring(low: Sequence[int | None], high: Sequence[int | None], run: range) -> str:
    """Write the outline of what lies between two lines: along the upper one, and back along the lower."""
    back = [height or 0 for height in reversed(low[run.start : run.stop])]
    return f"{trace(high, run)}V{back[0]}l{_steps(back, -SPAN)}z"


def _area(heights: Sequence[int | None], kind: str) -> Markup:
    """Draw a line and fill what is below it."""
    zero: list[int | None] = [None if height is None else 0 for height in heights]
    return _band(zero, heights, kind) + _line(heights, kind)


def _words(window: Window, series: Sequence[Series], unknown: Sequence[bool]) -> str:
    said = [
        f"{one.name} {one.write(min(values))} to {one.write(max(values))}, at the end {one.write(values[-1])}"
        for one in series
        if (values := known(one.values))
    ]
    missing = sum(unknown)
    gaps = f" Nothing was recorded for {missing} of {window.count} spans." if missing else ""
    return f"{amounts.between(window.start, window.end)}: {'; '.join(said) or 'no values'}.{gaps}"
