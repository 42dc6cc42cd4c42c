"""What is said of a job that waits, or runs."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..states import WaitReason
from ..wording import Sentence, in_words


class Cause(StrEnum):
    """What keeps a job from running, or may end its run: finer than WaitReason."""

    DUE_TIME = "due time"  # its due time has not come
    NEXT_TRY = "next try"  # an attempt has failed; the next one has a due time
    BROKER = "broker"  # the broker can't be reached; the job is kept safe in the table
    DISPATCH = "dispatch"  # due, and about to be put on the broker
    NOBODY_DISPATCHES = "nobody dispatches"  # due, and no process lives that would publish it
    CHAIN = "an earlier step of its chain"
    CHORD = "the parts of its chord"
    REPLACEMENT = "replacement"
    PAUSED = "queue paused"
    NOBODY_LISTENS = "nobody listens"  # no live worker takes jobs from its queue
    DOUBTFUL = "doubtful workers"  # those that listen are silent, or take nothing
    BUSY = "busy workers"  # those that listen have no free process
    PREFETCHED = "prefetched"  # a worker has taken it from the broker and has no free process for it yet
    RATE_LIMIT = "rate limit"  # a worker has taken it and holds it back
    ON_ITS_WAY = "on its way"  # on the broker, and a worker has room
    RUNS = "runs"
    CANCEL = "cancel requested"  # runs, and somebody asked it to end
    SILENT = "silent worker"  # runs, and its worker has missed heartbeats
    GONE = "worker gone"  # its worker is dead or has stopped: it is rescued


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a job is not running, or how its run is."""

    reason: WaitReason | None  # None: it runs
    cause: Cause
    sentences: tuple[Sentence, ...]  # the first says it, the others add to it
    now: datetime
    facts: dict[str, Any] = field(default_factory=dict)
    safe: bool = False  # the row alone brings it back: nothing is lost whatever happens to broker and workers meanwhile

    @property
    def text(self) -> str:
        """All of it as plain text."""
        return in_words(self.sentences, self.now)
