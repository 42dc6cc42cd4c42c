"""All that is known when the dust has settled: the table, the ledger, and what clients were told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from task_app.jobs.states import FINAL
from task_app.jobs.view import JobView

from .book import Told
from .ledger import RETURNED, Execution
from .workload import DEFAULT_PRIORITY

#: Seconds for which PostgreSQL may keep a claim from the disk (three times its `wal_writer_delay`, and then some), and
#: from a claim to the first line of the task.
FORGETS, CLAIM_TO_BEGIN = 2.0, 0.5
#: What an attempt is called in a job's history when it was lost with its worker.
LOST = "LOST"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of a job's history."""

    number: int
    state: str
    finished_at: float | None = None  # seconds since the epoch


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job as the table shows it in the end."""

    id: str
    task: str
    state: str
    attempt: int
    priority: int = DEFAULT_PRIORITY
    attempts: tuple[Attempt, ...] = ()
    finished: bool = True
    result: Any = None
    error_type: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Row":
        """Read a row of the table."""
        view = JobView.from_row(raw)
        return cls(
            id=view.id,
            task=view.task,
            state=view.state,
            attempt=view.attempt,
            priority=view.priority,
            attempts=tuple(
                Attempt(line["attempt"], line["state"], _seconds(line["finished_at"])) for line in view.history
            ),
            finished=view.finished_at is not None,
            result=view.result,
            error_type=raw["error_type"],
            raw=raw,
        )

    @property
    def is_final(self) -> bool:
        """Say whether it has ended, by both words that the table has for it."""
        return self.finished and self.state in FINAL


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the invariants are counted over."""

    rows: Mapping[str, Row]
    ledger: Mapping[str, list[Execution]]
    told: Mapping[str, Told]
    surprises: tuple[str, ...] = ()
    max_rescues: int = 3
    crashes: tuple[float, ...] = ()  # of the database, seconds since the epoch

    def was_forgotten(self, execution: Execution) -> bool:
        """Say whether its claim may be what the database forgot when it crashed."""
        return any(-CLAIM_TO_BEGIN < crash - execution.began < FORGETS for crash in self.crashes)

    def executions(self, job_id: str, attempt: int | None = None) -> list[Execution]:
        """Return the executions of a job, or of one attempt."""
        found = self.ledger.get(job_id, [])
        return found if attempt is None else [one for one in found if one.attempt == attempt]

    def returned(self, job_id: str) -> bool:
        """Say whether any execution of a job came to its end without an error."""
        return any(one.how == RETURNED for one in self.executions(job_id))

    def evidence(self, job_id: str) -> str:
        """Return all that is known of a job, for whoever has to find out."""
        row = self.rows.get(job_id)
        lines = [f"told:   {self.told.get(job_id)}"]
        raw = {key: value for key, value in (row.raw if row else {}).items() if value is not None}
        lines += [f"row:    {json.dumps(raw, default=str)}"]
        lines += [f"ledger: {one}" for one in self.executions(job_id)]
        return "\n".join(lines)


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()
