"""Numbers, time spans and moments as charts write them. `static/js/chart.js` writes them in the same way."""

from datetime import UTC, datetime

#: Unit, its length in seconds, the lesser unit and its length.
_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def count(value: float) -> str:
    """Write a number of things in full, with thin spaces."""
    return f"{value:,.0f}".replace(",", "\u202f")


def brief(value: float) -> str:
    """Write a number for an axis: 800, 1.5k, 20k, 3M."""
    for length, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= length:
            return f"{value / length:.4g}{unit}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Write a time span with two units at most: 340 ms, 12.4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 0.0095:
        return f"{max(0.0, seconds) * 1000:.2g} ms" if seconds >= 0.00005 else "0 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for length, unit, lesser, lesser_unit in _UNITS:
        if whole >= length:
            rest = whole % length // lesser
            return f"{whole // length} {unit} {rest} {lesser_unit}" if rest else f"{whole // length} {unit}"
    raise AssertionError(whole)  # pragma: no cover


def brief_duration(seconds: float) -> str:
    """Write a time span for an axis, in one unit: 250 ms, 1.5 min."""
    for length, unit, _, _ in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.4g} {unit}"
    return f"{seconds:.4g} s" if seconds >= 1 or not seconds else f"{seconds * 1000:.4g} ms"


def moment(at: datetime) -> str:
    """Write a moment for people, with its zone."""
    return at.astimezone(UTC).strftime("%-d %b %Y %H:%M:%S UTC")


def iso(at: datetime) -> str:
    """Write a moment for a URL: UTC, whole seconds where it has no parts of one."""
    at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds" if at.microsecond else "seconds").replace("+00:00", "Z")


def between(start: datetime, end: datetime) -> str:
    """Write a span of time, its day once where both ends are on it: 21 Nov 2026 20:00 to 21:00 UTC."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    clock = "%H:%M" if not (start.second or end.second) else "%H:%M:%S"
    first = start.strftime(f"%-d %b %Y {clock}")
    last = end.strftime(clock if start.date() == end.date() else f"%-d %b %Y {clock}")
    return f"{first} to {last} UTC"
