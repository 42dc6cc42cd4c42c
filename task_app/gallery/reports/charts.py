"""The charts of a report, drawn by matplotlib: as SVG for a page, as PNG for a PDF."""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .figures import Report, Step
from .words import duration, line

OK, BAD, REVOKED, ACCENT, SOFT = "#2f8f5b", "#c0392b", "#a3adba", "#1f5fbf", "#9dbdec"
TEXT, MUTED, RULE, UNSEEN = "#1b2430", "#566172", "#dfe3e8", "#eef0f3"
#: Inches: the width of the text on A4, and of a page in a browser.
WIDTH, HEIGHT, ROW = 7.1, 2.05, 0.21
DOTS = 200
#: Tasks in the chart of the slowest.
SLOWEST = 10

STYLE: Any = {  # a mapping with the names of matplotlib's settings
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "text.color": TEXT,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "svg.hashsalt": "report",  # the same report is the same file
}

Format = Literal["svg", "png"]
Draw = Callable[[Axes, Report], None]


def draw_all(report: Report, kind: Format) -> dict[str, bytes]:
    """Draw the charts that a report has something for, by name."""
    charts: dict[str, tuple[Draw, float]] = {
        "throughput": (_throughput, HEIGHT),
        "runs": (_runs, HEIGHT),
        "slowest": (_slowest, 0.5 + ROW * max(2, min(SLOWEST, len(_ran(report))))),
    }
    if not any(step.figures and step.figures.run for step in report.steps):
        del charts["runs"]
    if not _ran(report):
        del charts["slowest"]
    return {name: _drawn(draw, report, height, kind) for name, (draw, height) in charts.items()}


def _drawn(draw: Draw, report: Report, height: float, kind: Format) -> bytes:
    # A name may have letters that the font lacks: a box is drawn, and nobody needs to be told.
    with mpl.rc_context(STYLE), warnings.catch_warnings(action="ignore", category=UserWarning):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        draw(axes, report)
        file = io.BytesIO()
        # Without its date, the same report is the same file.
        figure.savefig(file, format=kind, dpi=DOTS, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _throughput(axes: Axes, report: Report) -> None:
    """How many jobs ended in each step, by how they ended."""
    at = [step.at for step in report.steps]
    width = timedelta(seconds=report.seconds)
    bottom = [0] * len(at)
    parts = (("succeeded", OK), ("failed", BAD), ("revoked", REVOKED))
    for name, colour in parts:
        counts = [getattr(step.figures, name) if step.figures else 0 for step in report.steps]
        axes.bar(at, counts, width * 0.86, bottom=bottom, align="edge", color=colour, label=name)  # type: ignore[arg-type]
        bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
    axes.set_ylim(0, max(4, *bottom) * 1.05)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _finish(axes, report)


def _runs(axes: Axes, report: Report) -> None:
    """How long half of the jobs ran at most, and nineteen of twenty."""
    half, most = ([_percentile(step, name) for step in report.steps] for name in ("p50", "p95"))
    middle = [step.at + timedelta(seconds=report.seconds / 2) for step in report.steps]
    axes.fill_between(middle, half, most, color=SOFT, alpha=0.35, linewidth=0)  # type: ignore[arg-type]
    axes.plot(middle, most, color=SOFT, marker="o", markersize=2, linewidth=1.2, label="95 % took at most")  # type: ignore[arg-type]
    axes.plot(middle, half, color=ACCENT, marker="o", markersize=2, linewidth=1.4, label="half took at most")  # type: ignore[arg-type]
    known = [value for value in (*half, *most) if not math.isnan(value)]
    if max(known) > 30 * min(known):
        axes.set_yscale("log")
        axes.minorticks_off()
    else:
        axes.set_ylim(0, max(known) * 1.1)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value else "0"))
    _finish(axes, report)


def _percentile(step: Step, name: str) -> float:
    if step.figures is None or step.figures.run is None:
        return float("nan")
    return max(0.0005, float(getattr(step.figures.run, name)))


def _finish(axes: Axes, report: Report) -> None:
    """Shade where nobody looked, and write the times below."""
    width = timedelta(seconds=report.seconds)
    for step in report.steps:
        if step.figures is None:
            axes.axvspan(step.at, step.at + width, color=UNSEEN, linewidth=0, zorder=0)  # type: ignore[arg-type]
    if any(step.figures is None for step in report.steps):
        axes.bar([report.start], [0], 0, color=UNSEEN, label="not looked at")  # type: ignore[arg-type]
    axes.set_xlim(report.start, max(report.end, report.steps[-1].at + width if report.steps else report.end))  # type: ignore[arg-type]
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        frameon=False,
        borderpad=0,
        borderaxespad=0.4,
        handlelength=1,
        handleheight=1,
    )


def _ran(report: Report) -> Sequence[str]:
    """Return the tasks that ran, the slowest first."""
    ran = [(figures.run.p95, name) for name, figures in report.tasks.items() if figures.run]
    return [name for _, name in sorted(ran, reverse=True)]


def _end_of(name: str, longest: int = 34) -> str:
    """Cut the beginning off a long name: the module, which others share."""
    return name if len(name) <= longest else f"…{name[-longest:]}"


def _slowest(axes: Axes, report: Report) -> None:
    """How long the slowest tasks run: a bar for nineteen of twenty runs, a mark for half of them."""
    names = _ran(report)[:SLOWEST]
    runs = [run for name in names if (run := report.tasks[name].run)]
    places = range(len(runs))
    axes.barh(places, [run.p95 for run in runs], 0.62, color=SOFT, label="95 % took at most")
    axes.scatter([run.p50 for run in runs], places, 22, ACCENT, marker="|", linewidths=2, label="half took at most")
    for place, run in zip(places, runs, strict=True):
        axes.annotate(f" {duration(run.p95)}", (run.p95, place), va="center", color=MUTED, fontsize=7)
    axes.set_yticks(places, [_end_of(line(name)) for name in names], parse_math=False)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.grid(visible=False)
    longest, shortest = max(run.p95 for run in runs), min(run.p50 for run in runs)
    if longest > 200 * shortest:
        axes.set_xscale("log")
        axes.set_xlim(max(shortest, 0.0005) / 2, longest * 3)
        axes.minorticks_off()
    else:
        axes.set_xlim(0, longest * 1.15)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value else "0"))
    axes.tick_params(axis="y", labelcolor=TEXT)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderpad=0, borderaxespad=0.4)
