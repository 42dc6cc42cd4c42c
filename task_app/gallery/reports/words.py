"""How a report writes numbers, times and names."""

from datetime import UTC, datetime


def number(value: float | None) -> str:
    """Write a count."""
    return "–" if value is None else f"{value:,.0f}"


def percent(part: int, whole: int) -> str:
    """Write a share, so that 99.95 % isn't taken for all."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < part < whole:
        share = min(99.99, max(0.01, share))
    return f"{share:.4g} %" if share > 99 else f"{share:.3g} %"


def duration(seconds: float | None) -> str:
    """Write a time span, to two or three digits."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else "< 1 ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours / 24:.1f} days"


def moment(at: datetime) -> str:
    """Write a moment in UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def period(start: datetime, end: datetime) -> str:
    """Write a span of time."""
    return f"{moment(start)} to {moment(end)} UTC"


def line(text: str, longest: int = 300) -> str:
    """Make one printable line of any text."""
    plain = "".join(character if character.isprintable() else " " for character in text).strip()
    return plain if len(plain) <= longest else f"{plain[:longest]}…"
