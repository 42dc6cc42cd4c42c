"""From values to heights and from moments to places, with ticks where people expect them."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .amounts import brief, brief_duration

_DAY = 86_400
#: Steps between ticks of a time axis or of time spans, in seconds.
STEPS = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200),
    *(_DAY * days for days in (1, 2, 7, 14, 28, 91, 182, 364)),
)
#: Ticks of a logarithmic axis of time spans.
_LOG_TICKS = (
    *(0.00001, 0.0001, 0.001, 0.01, 0.1, 1, 10),
    *(60, 600, 3_600, 36_000, *(_DAY * 5 * 10**n for n in range(5))),
)
#: From this ratio of the largest to the smallest value on, small ones would lie flat on the ground.
LOG_FROM = 60
#: The first Monday after the epoch: steps of weeks begin there.
_MONDAY = 4 * _DAY


@dataclass(frozen=True, slots=True)
class Scale:
    """How high a value stands: 0 is the bottom, 1 the top."""

    low: float
    high: float
    ticks: tuple[float, ...]
    label: Callable[[float], str]
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return the height of a value, within the axis."""
        if self.is_log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))


def count_scale(highest: float, intervals: int = 4) -> Scale:
    """Return the scale for counts from nothing to `highest`: whole steps of 1, 2 or 5 and their tens."""
    step = _decimal_step(max(highest, 1) / intervals, least=1)
    return _linear(highest, step, brief)


def duration_scale(values: Iterable[float], intervals: int = 4) -> Scale:
    """Return the scale for time spans; logarithmic where the small ones would not be seen otherwise."""
    known = [value for value in values if value >= _LOG_TICKS[0]]  # what takes less takes no time
    highest = max(known, default=1.0)
    lowest = min(known, default=highest)
    if highest / lowest >= LOG_FROM:
        return _logarithmic(lowest, highest)
    wanted = highest / intervals
    step = _decimal_step(wanted) if wanted < 0.5 else float(next((s for s in STEPS if s >= wanted), 0))
    return _linear(highest, step or _decimal_step(wanted / _DAY) * _DAY, brief_duration)


def _linear(highest: float, step: float, label: Callable[[float], str]) -> Scale:
    number = max(1, math.ceil(highest / step - 1e-9))
    return Scale(0.0, number * step, tuple(i * step for i in range(number + 1)), label)


def _logarithmic(lowest: float, highest: float) -> Scale:
    low = max((tick for tick in _LOG_TICKS if tick <= lowest), default=_LOG_TICKS[0])
    high = next((tick for tick in _LOG_TICKS if tick >= highest), highest)
    ticks = [tick for tick in _LOG_TICKS if low <= tick <= high]
    thinned = ticks[:: math.ceil(len(ticks) / 6)] if len(ticks) > 6 else ticks
    return Scale(low, high, tuple(thinned), brief_duration, is_log=True)


def _decimal_step(wanted: float, least: float = 0.0) -> float:
    """Return the least of 1, 2, 5 and their tens that is not less than what is wanted."""
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= wanted * (1 - 1e-9))
    return max(step, least)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis. `is_coarse`: stays where there is little room."""

    at: datetime
    step: int
    is_coarse: bool

    @property
    def label(self) -> str:
        """The moment, no finer than the axis: a clock, or the day where one begins."""
        if self.step >= _DAY or (self.at.hour, self.at.minute, self.at.second) == (0, 0, 0):
            return f"{self.at:%-d %b}"
        return f"{self.at:%H:%M:%S}" if self.step < 60 else f"{self.at:%H:%M}"


def time_ticks(start: datetime, end: datetime, most: int = 9, coarse: int = 4) -> list[Tick]:
    """Return the ticks between two moments: at most `most`, of which at most `coarse` stay on a narrow page."""
    first, last = start.timestamp(), end.timestamp()
    step = _step(last - first, most)
    rough = next((s for s in STEPS if s % step == 0 and (last - first) / s <= coarse), step)
    return [
        Tick(datetime.fromtimestamp(at, UTC), step, _is_multiple(at, rough))
        for at in range(_next_multiple(first, step), math.floor(last) + 1, step)
    ]


def _step(seconds: float, most: int) -> int:
    return next((step for step in STEPS if seconds / step <= most), math.ceil(seconds / most / _DAY) * _DAY)


def _offset(step: int) -> int:
    return _MONDAY if step % (7 * _DAY) == 0 else 0


def _next_multiple(at: float, step: int) -> int:
    return math.ceil((at - _offset(step)) / step) * step + _offset(step)


def _is_multiple(at: int, step: int) -> bool:
    return (at - _offset(step)) % step == 0


def span_step(step: timedelta, count: int, most: int) -> int:
    """Return how many spans to put together so that at most `most` remain, in steps people know."""
    seconds = step.total_seconds()
    whole = (s for s in STEPS if s >= seconds and s % seconds == 0 and math.ceil(count * seconds / s) <= most)
    return max(1, int(next(whole, seconds * math.ceil(count / most)) // seconds))
