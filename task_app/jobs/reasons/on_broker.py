"""Why a job waits that is on the broker: who could take it, and why has nobody?"""

from difflib import get_close_matches
from typing import Any

from sqlalchemy import func, select

from ..models import Job
from ..states import WAITING
from ..wording import Ref, Sentence, duration, number_of
from ..workers import WorkerState, WorkerView
from .look import Look, busy_in, listed, paused_since
from .words import Cause, Explanation

_c = Job.__table__.c

#: How many jobs before and after one in its queue are looked at to tell its place.
LOOK = 1_000
#: How many doubtful workers are named.
NAMED = 5


def why_on_broker(look: Look) -> Explanation:
    """On the broker: who could take it, and why has nobody?"""
    holder = next((worker for worker in look.living if look.job.id in (*worker.prefetched, *worker.running)), None)
    if holder is not None:
        return _held(look, holder)
    if look.paused is not None:
        pause = {"paused_at": look.paused.at, "paused_by": look.paused.by}
        return look.says(Cause.PAUSED, paused_since(look, look.paused), facts=pause)
    if not look.listeners:
        return _unheard(look)
    alive = [worker for worker in look.listeners if worker.state == WorkerState.ALIVE]
    if not alive:
        return _doubtful(look)
    ahead, at_least = place_in_queue(look)
    slots, busy = sum(worker.concurrency for worker in alive), sum(busy_in(worker) for worker in alive)
    facts = {"listeners": listed(alive), "slots": slots, "busy": busy, "ahead": ahead, "ahead_at_least": at_least}
    free = next((worker for worker in alive if busy_in(worker) < worker.concurrency), None)
    line: list[Sentence] = [(f"Before it in line: {number_of(ahead, 'job', at_least)}",)] if ahead else []
    if free is None:
        processes = "The one process that serves queue " if slots == 1 else f"All {slots} processes that serve queue "
        return look.says(
            Cause.BUSY, (processes, look.queue, " is busy" if slots == 1 else " are busy"), *line, facts=facts
        )
    since = look.job.published_at or look.now
    if look.now - since > look.watch.lost_after:
        line.append(("Should its message be lost, that is noticed and it is sent again",))
    has_room: Sentence = (" and worker ", Ref("worker", free.name), " has room")
    return look.says(Cause.ON_ITS_WAY, ("It has been on the broker since ", since, *has_room), *line, facts=facts)


def _held(look: Look, worker: WorkerView) -> Explanation:
    """A worker has taken its message."""
    name = Ref("worker", worker.name)
    facts: dict[str, Any] = {"worker": worker.name, "worker_state": worker.state}
    facts |= {"slots": worker.concurrency, "busy": busy_in(worker)}
    taken: Sentence = ("Worker ", name, " has taken it from the broker")
    if worker.state == WorkerState.UNKNOWN:
        silence, timeout = duration(worker.silent_for), duration(look.watch.timeout.total_seconds())
        return look.says(
            Cause.DOUBTFUL,
            (*taken, f" and has been silent for {silence}"),
            (f"If it stays so for {timeout}, the job is sent again",),
            facts=facts | {"silent_for": worker.silent_for},
        )
    if look.rate_limit and busy_in(worker) < worker.concurrency:
        held = f" and holds it back: the rate limit of the task is {look.rate_limit}"
        return look.says(Cause.RATE_LIMIT, (*taken, held), facts=facts | {"rate_limit": look.rate_limit})
    free = "it is free" if worker.concurrency == 1 else f"one of its {worker.concurrency} processes is free"
    return look.says(Cause.PREFETCHED, (*taken, f" and starts it when {free}"), facts=facts)


def _unheard(look: Look) -> Explanation:
    """Nobody listens: say who once did, and to what others listen."""
    sentences: list[Sentence] = [("No live worker listens to queue ", look.queue)]
    heard = sorted({queue for worker in look.living for queue in worker.queues})
    facts: dict[str, Any] = {"listeners": [], "queues_with_listeners": heard}
    folded = {queue.casefold(): queue for queue in heard}
    near = get_close_matches(look.job.queue.casefold(), folded, n=1)
    if near:
        facts["near"] = folded[near[0]]
        sentences.append(("Is ", Ref("queue", facts["near"]), " meant? A worker listens to that"))
    elif heard:
        sentences.append((f"Workers listen to {', '.join(heard)}",))
    elif not any(worker.concurrency for worker in look.living):
        sentences.append(("No worker lives at all",))
    dead = [worker for worker in look.workers if worker.state == WorkerState.DEAD]
    lost = next((worker for worker in dead if look.job.queue in worker.queues), None)
    if lost is not None:
        facts["lost_worker"] = lost.name
        silence = duration(lost.silent_for)
        sentences.append(("Worker ", Ref("worker", lost.name), f" did, and has been silent for {silence}"))
    return look.says(Cause.NOBODY_LISTENS, *sentences, facts=facts)


def _doubtful(look: Look) -> Explanation:
    """Whoever listens may be no good."""
    sentences: list[Sentence] = []
    for worker in look.listeners[:NAMED]:
        why = (
            "takes nothing although it has room: it connects anew"
            if worker.state == WorkerState.WEDGED
            else f"has been silent for {duration(worker.silent_for)}"
        )
        sentences.append(
            ("Worker ", Ref("worker", worker.name), " listens to queue ", look.queue, f", but {why}"),
        )
    return look.says(Cause.DOUBTFUL, *sentences, facts={"listeners": listed(look.listeners)})


def place_in_queue(look: Look) -> tuple[int, bool]:
    """Return how many jobs of its queue come first, by priority and age; True says that many or more."""
    job = look.job
    waiting = select(_c.priority).where(
        _c.queue == job.queue, _c.finished_at.is_(None), _c.state.in_(WAITING), _c.id != job.id
    )
    older = waiting.where(_c.published_at <= job.published_at).order_by(_c.published_at.desc()).limit(LOOK).subquery()
    newer = waiting.where(_c.published_at > job.published_at).order_by(_c.published_at).limit(LOOK).subquery()
    counts = select(
        select(func.count()).where(older.c.priority >= job.priority).scalar_subquery(),
        select(func.count()).select_from(older).scalar_subquery(),
        select(func.count()).where(newer.c.priority > job.priority).scalar_subquery(),
        select(func.count()).select_from(newer).scalar_subquery(),
    )
    first, seen_older, urgent, seen_newer = look.connection.execute(counts).one()
    return first + urgent, LOOK in (seen_older, seen_newer)
