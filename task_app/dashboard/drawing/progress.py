"""How far a job is, and how long it may still take."""

from typing import Any

from markupsafe import Markup

from . import amounts
from .svg import tag

#: Earlier than this nobody can tell.
_TOO_EARLY, _TOO_LITTLE = 3.0, 0.02


def seconds_left(current: Any, total: Any, elapsed: float | None) -> float | None:
    """Return how long the rest takes if it goes on as until now; None where that would be a guess."""
    numbers = [value for value in (current, total) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2 or elapsed is None or elapsed < _TOO_EARLY:
        return None
    try:
        share = current / total
    except (ZeroDivisionError, OverflowError):
        return None
    if not _TOO_LITTLE <= share < 1:
        return None
    return float(elapsed * (1 - share) / share)


def about(seconds: float) -> str:
    """Write an estimate no finer than it is: about 40 s, about 5 min, about 3 h."""
    if seconds < 5:
        return "a few seconds"
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length * 1.5:
            return f"about {round(seconds / length)} {unit}"
    return f"about {max(5, 5 * round(seconds / 5))} s"


def progress(
    *,
    state: str,
    percent: float | None,
    current: Any = None,
    total: Any = None,
    message: str | None = None,
    elapsed: float | None = None,
    label: str = "Progress",
    name: str = "progress",
) -> Markup:
    """Show the progress of a job; `elapsed`: seconds since its attempt started, None when it doesn't run.

    Without a percentage the bar says that something goes on, and no more.
    """
    left = seconds_left(current, total, elapsed)
    facts = [
        tag("b", f"{percent:g} %") if percent is not None else None,
        tag("span", _of(current, total), class_="muted") if _of(current, total) else None,
        tag("span", f"{about(left)} left", class_="muted progress-left") if left is not None else None,
    ]
    bar = tag(
        "progress",
        f"{percent:g} %" if percent is not None else None,
        class_="bar",
        max=100,
        value=f"{percent:g}" if percent is not None else None,
        aria_label=label,
        data_state=state,
    )
    said = tag("p", message, class_="progress-message") if message else None
    head = tag("div", *facts, class_="progress-head") if any(facts) else None
    return tag("div", head, bar, said, class_="progress", id=name)


def _of(current: Any, total: Any) -> str:
    """Write how many of how many; what a task reports may be anything, and only numbers are written."""
    known = [
        amounts.count(value) if isinstance(value, int) and abs(value) < 10**15 else f"{value:.6g}"
        for value in (current, total)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**300
    ]
    return " of ".join(known) if len(known) == 2 else ""
