"""A line of the size of a word, for tables."""

from markupsafe import Markup

from .svg import tag, void
from .window import Values, known, runs

_STEP, _HEIGHT, _ROOM = 4, 40, 3


def sparkline(values: Values, *, label: str, kind: str = "run") -> Markup:
    """Draw how values went, without axes: `label` says it in words. None for a value says that nobody looked."""
    highest = max(known(values), default=0) or 1
    heights = [None if v is None else _ROOM + round((_HEIGHT - 2 * _ROOM) * v / highest) for v in values]
    lines, dots, areas = [], [], []
    for run in runs([height is not None for height in heights]):
        points = [(i * _STEP + _STEP // 2, height) for i in run if (height := heights[i]) is not None]
        line = "L".join(f"{x} {_HEIGHT - y}" for x, y in points)
        if len(points) > 1:
            lines.append(f"M{line}")
        else:
            dots.append(f"M{line}h0")
        areas.append(f"M{points[0][0]} {_HEIGHT}L{line}V{_HEIGHT}z")
    gaps = [f"M{r.start * _STEP} {_HEIGHT - 1}h{len(r) * _STEP}" for r in runs([v is None for v in values])]
    return tag(
        "svg",
        void("path", class_="gap", d="".join(gaps)) if gaps else None,
        void("path", class_="area", d="".join(areas)) if areas else None,
        void("path", class_="line", d="".join(lines)) if lines else None,
        void("path", class_="dot", d="".join(dots)) if dots else None,
        class_="spark",
        data_kind=kind,
        role="img",
        aria_label=label,
        view_box=f"0 0 {max(1, len(values)) * _STEP} {_HEIGHT}",
        aspect="none",
        width=96,
        height=20,
    )
