"""What every chart over time has around its marks: legend, axes, unknown time, words and a table.

Widths are shares of the page and heights are pixels, so that text keeps its shape from a phone to a wide screen. Marks
lie in an inner `<svg>` that is stretched; the text doesn't.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from . import amounts
from .scales import Scale, Tick, time_ticks
from .svg import percent, short, tag, void
from .window import FROM, UNTIL, Link, Series, Window, runs

#: Units of the inner `<svg>` to a pixel of height, and to a span of time.
FINE = 1
SPAN = 4
_LABELS = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A drawing with an axis of its own; panels of a chart stand below each other and share the time axis."""

    height: int
    scale: Scale
    marks: Markup
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All that `draw` needs. `name` is its id on the page; `words` say the essential to who can't see it."""

    name: str
    title: str
    form: str
    window: Window
    series: Sequence[Series]
    panels: Sequence[Panel]
    unknown: Sequence[bool]
    words: str
    note: str | None = None
    empty: str | None = None
    link: Link | None = None


def draw(chart: Chart) -> Markup:
    """Return the chart as a `<figure>`."""
    window = chart.window
    return tag(
        "figure",
        _caption(chart),
        tag("div", _plot(chart), class_="chart-body"),
        _table(chart),
        class_="chart",
        id=chart.name,
        data_chart=chart.form,
        data_start=short(window.start.timestamp(), 3),
        data_step=short(window.step.total_seconds(), 3),
        data_count=window.count,
        data_high=short(chart.panels[0].scale.high, 6),
        data_link=chart.link(FROM, UNTIL, None) if chart.link else None,
    )


def _caption(chart: Chart) -> Markup:
    keys = [_key(chart, series) for series in chart.series]
    if any(chart.unknown):
        keys.append(tag("li", "not recorded", data_kind="unknown"))
    return tag(
        "figcaption",
        tag("span", chart.title, class_="chart-title", id=f"{chart.name}-title"),
        tag("span", chart.note, class_="chart-note") if chart.note else None,
        tag("ul", *keys, class_="chart-keys"),
    )


def _key(chart: Chart, series: Series) -> Markup:
    words: list[Markup | str] = [series.name, " ", tag("b", series.figure)]
    link = chart.link if series.state else None
    between = (amounts.iso(chart.window.start), amounts.iso(chart.window.end))
    return tag(
        "li",
        tag("a", *words, href=link(*between, series.state)) if link else Markup("").join(words),
        data_kind=series.kind,
        data_name=series.name,
        data_unit="duration" if series.is_duration else "count",
        data_values=series.packed(),
        data_link=link(FROM, UNTIL, series.state) if link else None,
    )


def _plot(chart: Chart) -> Markup:
    top, drawn = 0, []
    for panel in chart.panels:
        top += _LABELS if panel.title else 0
        drawn.append(_panel(panel, top, chart.window.count, is_empty=chart.empty is not None))
        top += panel.height
    hatch = f"{chart.name}-hatch"
    words = f"{chart.name}-words"
    return tag(
        "svg",
        tag("desc", chart.words, id=words),
        tag("defs", _hatch(hatch)),
        _unknown(chart, hatch, top),
        *drawn,
        _unfinished(chart.window, top),
        *(_tick(tick, chart.window, top) for tick in time_ticks(chart.window.start, chart.window.end)),
        _empty(chart.empty, top) if chart.empty else None,
        void("rect", class_="chart-ground", width="100%", height=top),
        class_="chart-plot",
        height=top,
        role="img",
        aria_labelledby=f"{chart.name}-title",
        aria_describedby=words,
    )


def _panel(panel: Panel, top: int, count: int, *, is_empty: bool) -> Markup:
    height = panel.height
    ground, *grid = rungs(panel.scale, top, height, with_values=not is_empty)
    marks = tag(
        "svg",
        tag("g", panel.marks, transform=f"matrix(1 0 0 -1 0 {height * FINE})"),
        y=top,
        width="100%",
        height=height,
        view_box=f"0 0 {count * SPAN} {height * FINE}",
        aspect="none",
        overflow="visible",
    )
    title = tag("text", panel.title, y=top - 9, class_="panel") if panel.title else None
    # The ground over the marks, so that bars stand on it.
    return Markup("").join([*grid, marks, ground, title or ""])


def rungs(scale: Scale, top: int, height: int, *, with_values: bool = True) -> list[Markup]:
    """Draw a line and its value for each tick of a scale, the ground first."""
    drawn = []
    for i, value in enumerate(scale.ticks):
        y = round(top + height * (1 - scale(value)))
        line = void("line", class_="grid" if i else "ground", x2="100%", y1=y, y2=y)
        text = tag("text", scale.label(value), x=-8, y=y, dy=".32em", class_="value")
        drawn.append(line + text if with_values else line)
    return drawn


def _tick(tick: Tick, window: Window, bottom: int) -> Markup:
    share = place(tick.at, window)
    x = percent(share)
    anchor = "end" if share > 0.97 else None
    return tag(
        "g",
        void("line", x1=x, x2=x, y1=bottom, y2=bottom + 4),
        tag("text", tick.label, x=x, y=bottom + 17, text_anchor=anchor),
        class_="tick" if tick.is_coarse else "tick fine",
        data_at=int(tick.at.timestamp()),
        data_step=tick.step,
    )


def place(at: datetime, window: Window) -> float:
    """Return how far along the window a moment is, from 0 to 1."""
    return (at - window.start) / (window.step * window.count)


def _hatch(name: str) -> Markup:
    return tag(
        "pattern",
        void("path", d="M0 0V6", class_="hatch"),
        id=name,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def _unknown(chart: Chart, hatch: str, height: int) -> Markup | None:
    """Draw where nobody looked. One path cuts it out of a hatched ground, however many gaps there are."""
    stretches = [f"M{r.start} 0h{len(r)}v1h-{len(r)}z" for r in runs(chart.unknown)]
    if not stretches:
        return None
    clip = f"{chart.name}-gaps"
    path = void("path", d="".join(stretches), transform=f"scale({1 / chart.window.count:.8f} 1)")
    return Markup("").join(
        [
            tag("clipPath", path, id=clip, clipPathUnits="objectBoundingBox"),
            tag(
                "g",
                void("rect", width="100%", height=height, class_="unknown"),
                void("rect", width="100%", height=height, fill=f"url(#{hatch})"),
                clip_path=f"url(#{clip})",
            ),
        ]
    )


def _unfinished(window: Window, height: int) -> Markup | None:
    """Draw a veil over the span that is not over: it is no lull."""
    if window.now is None:
        return None
    for index in range(window.count):
        if window.at(index) <= window.now < window.at(index + 1):
            x, width = percent(index / window.count), percent(1 / window.count)
            return void("rect", class_="unfinished", x=x, width=width, height=height)
    return None


def _empty(text: str, height: int) -> Markup:
    return tag("text", text, x="50%", y=height // 2, class_="empty-chart")


def _table(chart: Chart) -> Markup:
    heads = [tag("th", series.name, scope="col") for series in chart.series]
    rows = [_row(chart, row) for row in chart.window.rows()]
    return tag(
        "details",
        tag("summary", "Table", tag("span", f" of {chart.title}", class_="visually-hidden")),
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", tag("th", "Time (UTC)", scope="col"), *heads)),
                tag("tbody", *rows),
                class_="list",
            ),
            class_="scroll",
        ),
        class_="chart-table",
        id=f"{chart.name}-table",
    )


def _row(chart: Chart, row: range) -> Markup:
    start, end = chart.window.at(row.start), chart.window.at(row.stop)
    text = f"{start:%-d %b %H:%M:%S}"
    url = chart.link(amounts.iso(start), amounts.iso(end), None) if chart.link else None
    head = tag("th", tag("a", text, href=url) if url else text, scope="row")
    if all(chart.unknown[i] for i in row):
        return tag("tr", head, tag("td", "not recorded", colspan=len(chart.series), class_="muted"))
    return tag("tr", head, *(tag("td", series.write(series.over(row)), class_="number") for series in chart.series))
