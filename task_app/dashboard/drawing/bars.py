"""Stacked bars: how many jobs ended in each span, and how."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from . import amounts
from .frame import FINE, SPAN, Chart, Panel, draw
from .scales import Scale, count_scale
from .svg import void
from .window import Link, Series, Values, Window, known

HEIGHT = 160
#: What there is at all is at least so high, in pixels: one failure among thousands must be seen.
LEAST = 2
#: With more bars than this there is no room for gaps between them.
_GAPS_UP_TO = 120


def throughput(
    window: Window,
    *,
    succeeded: Values,
    failed: Values,
    revoked: Values,
    name: str,
    title: str = "Jobs that ended",
    link: Link | None = None,
) -> Markup:
    """Draw the jobs that ended per span. None for a span says that nobody looked; failures stand on the ground."""
    series = [
        _counted("failed", "bad", failed, "FAILURE"),
        _counted("succeeded", "ok", succeeded, "SUCCESS"),
        _counted("revoked", "stop", revoked, "REVOKED"),
    ]
    totals = [None if all(v is None for v in column) else sum(known(column)) for column in _columns(series)]
    unknown = [(total is None and window.is_over(i)) or not window.was_seen(i) for i, total in enumerate(totals)]
    scale = count_scale(max(known(totals), default=0))
    return draw(
        Chart(
            name=name,
            title=title,
            form="bars",
            window=window,
            series=[series[1], series[0], series[2]],
            panels=[Panel(height=HEIGHT, scale=scale, marks=_bars(series, scale, window.count))],
            unknown=unknown,
            words=_words(window, series, totals),
            empty=_empty(totals),
            link=link,
        )
    )


def _counted(name: str, kind: str, values: Values, state: str) -> Series:
    figure = amounts.count(sum(known(values))) if known(values) else "–"
    return Series(name=name, kind=kind, values=values, figure=figure, state=state)


def _columns(series: Sequence[Series]) -> Iterator[tuple[float | None, ...]]:
    return zip(*(one.values for one in series), strict=True)


def _empty(totals: Values) -> str | None:
    if not known(totals):
        return "Nothing was recorded in this time."
    return None if any(known(totals)) else "No job ended in this time."


def _bars(series: Sequence[Series], scale: Scale, count: int) -> Markup:
    """Draw each series from the ground, the top of the stack first, so that the next covers what is not its own."""
    tops = [_stack(column, scale) for column in _columns(series)]
    paths = []
    for level in reversed(range(len(series))):
        below = [column[level - 1] if level else 0 for column in tops]
        heights = [column[level] if column[level] > low else 0 for column, low in zip(tops, below, strict=True)]
        if any(heights):
            paths.append(void("path", d=outline(heights, count), class_="bar", data_kind=series[level].kind))
    return Markup("").join(paths)


def _stack(column: Sequence[float | None], scale: Scale) -> list[int]:
    """Return how high each level of a stack ends; one that is not empty adds at least `LEAST` pixels."""
    tops, total, top = [], 0.0, 0
    for value in column:
        total += value or 0
        top = max(round(scale(total) * HEIGHT * FINE), top + LEAST * FINE) if value else top
        tops.append(top)
    return tops


def outline(heights: Sequence[int], count: int) -> str:
    """Write bars as one path. Many stand wall to wall, where equal ones are written once."""
    gap = 1 if count <= _GAPS_UP_TO else 0
    path, last, run = ["M0 0"], 0, 0
    for height in heights:
        if gap:
            path.append(f"V{height}h{SPAN - gap}V0h{gap}" if height else f"h{SPAN}")
        elif height == last:
            run += SPAN
        else:
            path.append((f"h{run}" if run else "") + f"V{height}")
            last, run = height, SPAN
    return "".join(path) + (f"h{run}" if run else "") + "V0z"


def _words(window: Window, series: Sequence[Series], totals: Values) -> str:
    between = amounts.between(window.start, window.end)
    if not known(totals):
        return f"{between}: nothing was recorded."
    highest = max(known(totals))
    peak = f", at most {amounts.count(highest)} in {amounts.duration(window.step.total_seconds())}"
    peak += f" (at {amounts.moment(window.at(list(totals).index(highest)))})" if highest else ""
    missing = sum(total is None and window.is_over(i) for i, total in enumerate(totals))
    gaps = f" Nothing was recorded for {missing} of {window.count} spans." if missing else ""
    counts = ", ".join(f"{one.figure} {one.name}" for one in (series[1], series[0], series[2]))
    return f"{between}: {counts}{peak}.{gaps}"
