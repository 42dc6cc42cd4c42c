"""How long things took, in buckets that grow by a fixed factor: small to keep, and two can be added up.

Averages hide the slow ones, and percentiles of two spans say nothing of both together. A histogram can be merged, and
its percentiles are off by a known error at most: 4.5 % of the value (`ERROR`), or half a millisecond for what took less
than one.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

#: Seconds. What took less is in bucket 0: nobody waits for it.
LEAST = 0.001
#: Buckets for each doubling. Eight make a day of milliseconds 211 buckets, of which a span uses some dozens.
PER_OCTAVE = 8
#: By how much a bucket is longer than the one before.
GROWTH = 2 ** (1 / PER_OCTAVE)
#: A percentile is at most this part of the exact one away from it: it lies in the middle of the same bucket.
ERROR = math.sqrt(GROWTH) - 1

#: Buckets for each time that a duration grows by the factor e.
PER_E = PER_OCTAVE / math.log(2)


def bucket_of(seconds: float | None) -> int | None:
    """Return the bucket of a duration; clocks of two hosts may make it negative."""
    if seconds is None:
        return None
    return 0 if seconds < LEAST else math.floor(math.log(seconds / LEAST) * PER_E) + 1


def middle_of(bucket: int) -> float:
    """Return the duration (seconds) that stands for a bucket."""
    return LEAST * (0.5 if bucket == 0 else GROWTH ** (bucket - 0.5))


class Histogram:
    """How many durations are in each bucket; only buckets with some are kept."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | Iterable[tuple[int, int]] = ()) -> None:
        self.counts = defaultdict[int, int](int, counts)

    @classmethod
    def from_json(cls, text: str) -> "Histogram":
        """Open what `to_json` wrote."""
        return cls(json.loads(text))

    def to_json(self) -> str:
        """Write pairs of bucket and number, in order: equal histograms are equal texts."""
        return json.dumps(sorted(self.counts.items()), separators=(",", ":"))

    def add(self, bucket: int, number: int = 1) -> None:
        """Count durations of a bucket."""
        self.counts[bucket] += number

    def merge(self, other: "Histogram") -> None:
        """Add what another one has counted."""
        for bucket, number in other.counts.items():
            self.counts[bucket] += number

    def merge_json(self, text: str) -> None:
        """Add what `to_json` wrote; a table adds up thousands."""
        counts = self.counts
        for bucket, number in json.loads(text):
            counts[bucket] += number

    @property
    def total(self) -> int:
        """How many durations it has counted."""
        return sum(self.counts.values())

    def percentiles(self, *parts: float) -> list[float] | None:
        """Return, for each part (0 to 1, rising), a duration that so many did not exceed; None when it is empty.

        That is the nearest rank: the smallest duration that the part of all durations does not exceed.
        """
        if not self.counts:
            return None
        total, below = self.total, 0
        found: list[float] = []
        ranks = [max(1, math.ceil(part * total)) for part in parts]
        for bucket, number in sorted(self.counts.items()):
            below += number
            while len(found) < len(ranks) and ranks[len(found)] <= below:
                found.append(middle_of(bucket))
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    def __hash__(self) -> int:
        raise TypeError("a histogram changes")

    def __repr__(self) -> str:
        return f"Histogram({self.to_json()})"
