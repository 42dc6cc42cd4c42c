"""What is counted of the jobs that ended in a span of time, and of what waited meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .histogram import Histogram
from .states import State

Number = TypeVar("Number", int, float)

#: A final state → where it is counted.
COUNTED: dict[str, str] = {State.SUCCESS: "succeeded", State.FAILURE: "failed", State.REVOKED: "revoked"}


@dataclass(slots=True)
class Tally:
    """One row of the table `rollup`, opened; or several, added up.

    Only attempts that were started have a wait and a run, so there may be fewer of these than jobs.
    """

    succeeded: int = 0
    failed: int = 0
    revoked: int = 0
    waits: Histogram = field(default_factory=Histogram)
    runs: Histogram = field(default_factory=Histogram)
    depth: int | None = None  # the deepest that was seen; None: nobody looked
    oldest: float | None = None  # the longest wait that was seen, in seconds

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> "Tally":
        """Open a row of the table."""
        opened = {"waits": Histogram.from_json(row["waits"]), "runs": Histogram.from_json(row["runs"])}
        return cls(**{name: row[name] for name in COLUMNS} | opened)

    def columns(self) -> dict[str, Any]:
        """Return what the table keeps."""
        return {name: getattr(self, name) for name in COLUMNS} | {
            "waits": self.waits.to_json(),
            "runs": self.runs.to_json(),
        }

    @property
    def jobs(self) -> int:
        """How many jobs have ended."""
        return self.succeeded + self.failed + self.revoked

    def count(self, state: str, number: int, wait: int | None, run: int | None) -> None:
        """Count jobs that ended in a state, and the buckets of their waits and runs."""
        name = COUNTED[state]
        setattr(self, name, getattr(self, name) + number)
        if wait is not None:
            self.waits.add(wait, number)
        if run is not None:
            self.runs.add(run, number)

    def see(self, depth: int | None, oldest: float | None) -> None:
        """Remember the deepest queue and the longest wait; None tells nothing."""
        self.depth = _greater(self.depth, depth)
        self.oldest = _greater(self.oldest, oldest)

    def add_columns(
        self,
        succeeded: int,
        failed: int,
        revoked: int,
        waits: str,
        runs: str,
        depth: int | None,
        oldest: float | None,
    ) -> None:
        """Add another span, as the table keeps it: COLUMNS, in this order."""
        self.succeeded += succeeded
        self.failed += failed
        self.revoked += revoked
        self.waits.merge_json(waits)
        self.runs.merge_json(runs)
        if depth is not None or oldest is not None:
            self.see(depth, oldest)

    def add(self, other: "Tally") -> None:
        """Add another span, or another queue's or task's part of the same one."""
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.revoked += other.revoked
        self.waits.merge(other.waits)
        self.runs.merge(other.runs)
        self.see(other.depth, other.oldest)


COLUMNS = ("succeeded", "failed", "revoked", "waits", "runs", "depth", "oldest")


def _greater(one: Number | None, other: Number | None) -> Number | None:
    return other if one is None else one if other is None else max(one, other)
