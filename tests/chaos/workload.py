"""What the clients will ask for: drawn from the seed before anything runs, so that the seed replays it."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

DEFAULT_PRIORITY = 5


class Via(StrEnum):
    """How a client submits."""

    HTTP = "http"
    BATCH = "batch"
    PYTHON = "python"


class Steering(StrEnum):
    """What a client does to a job that it has submitted."""

    CANCEL = "cancel"  # as soon as it is accepted
    CANCEL_RUNNING = "cancel running"  # once it runs
    RETRY = "retry"  # once it has ended


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One job, and how it must end when nobody cancels it."""

    id: str
    kind: str
    task: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    countdown: float | None = None
    priority: int = DEFAULT_PRIORITY
    value: int | None = None  # the right result; None: it must fail
    after: str | None = None  # the step of its chain before
    parts: tuple[str, ...] = ()  # the header of the chord whose body it is


@dataclass(frozen=True, kw_only=True)
class Order:
    """One submit: a job, a batch, a chain or a chord."""

    kind: str
    via: Via
    jobs: tuple[Wanted, ...]
    steering: Steering | None = None
    insists: bool = True  # asks again when it got no answer


BATCH_SIZE = 8
#: kind → how many of a hundred orders
MIX = {"short": 34, "batch": 4, "long": 6, "deaf": 3, "failing": 8, "retrying": 8, "later": 10, "chain": 9, "chord": 7}


def orders(seed: int, jobs: int) -> list[Order]:
    """Draw orders of at least so many jobs."""
    rng = random.Random(f"{seed} workload")
    drawn: list[Order] = []
    count = 0
    while count < jobs:
        [kind] = rng.choices(list(MIX), list(MIX.values()))
        order = _order(rng, kind, count)
        drawn.append(order)
        count += len(order.jobs)
    return drawn


def _order(rng: random.Random, kind: str, value: int) -> Order:
    if kind in ("chain", "chord"):
        drawn = tuple(_chain(rng, value) if kind == "chain" else _chord(rng, value))
        steering = Steering.CANCEL if rng.random() < 0.1 else None
        return Order(kind=kind, via=Via.PYTHON, jobs=drawn, steering=steering, insists=kind == "chain")
    if kind == "batch":
        return Order(kind=kind, via=Via.BATCH, jobs=tuple(_single(rng, "short", value + n) for n in range(BATCH_SIZE)))
    via = Via.PYTHON if rng.random() < 0.3 else Via.HTTP
    return Order(
        kind=kind,
        via=via,
        jobs=(_single(rng, kind, value),),
        steering=_steering(rng, kind),
        insists=rng.random() < 0.9,
    )


def _steering(rng: random.Random, kind: str) -> Steering | None:
    choice = rng.random()
    if kind in ("long", "deaf"):
        return Steering.CANCEL_RUNNING if choice < 0.3 else None
    if choice < 0.06:
        return Steering.CANCEL
    return Steering.RETRY if choice < 0.12 else None


def _single(rng: random.Random, kind: str, value: int) -> Wanted:
    job_id = _id(rng)
    task, right = "chaos.echo", value
    kwargs: dict[str, Any] = {"value": value}
    if kind == "long":
        task, kwargs = "chaos.steps", {"value": value, "count": rng.randint(5, 20), "pause": 0.1}
    elif kind == "deaf":
        task, kwargs = "chaos.deaf", {"value": value, "seconds": round(rng.uniform(0.5, 3), 2)}
    elif kind == "retrying":
        task, kwargs = "chaos.retrying", {"value": value, "times": rng.randint(1, 3), "countdown": rng.choice([0, 0.5])}
    elif kind == "failing":
        return Wanted(id=job_id, kind=kind, task="chaos.fail", kwargs=kwargs)
    priority = rng.randint(3, 7) if kind in ("short", "retrying") and rng.random() < 0.2 else DEFAULT_PRIORITY
    countdown = round(rng.uniform(0.5, 6), 2) if kind == "later" else None
    return Wanted(id=job_id, kind=kind, task=task, kwargs=kwargs, countdown=countdown, priority=priority, value=right)


def _chain(rng: random.Random, value: int) -> Iterator[Wanted]:
    first = _id(rng)
    yield Wanted(id=first, kind="chain", task="chaos.echo", kwargs={"value": value}, value=value)
    second = _id(rng)
    fails = rng.random() < 0.15
    task, right = ("chaos.fail_next", None) if fails else ("chaos.next", value + 1)
    yield Wanted(id=second, kind="chain", task=task, value=right, after=first)
    yield Wanted(id=_id(rng), kind="chain", task="chaos.next", value=value + 2, after=second)


def _chord(rng: random.Random, value: int) -> Iterator[Wanted]:
    values = [value + n for n in range(3)]
    parts = [Wanted(id=_id(rng), kind="chord", task="chaos.echo", kwargs={"value": v}, value=v) for v in values]
    if rng.random() < 0.15:
        parts[1] = Wanted(id=parts[1].id, kind="chord", task="chaos.fail", kwargs={"value": value})
    yield from parts
    yield Wanted(
        id=_id(rng), kind="chord", task="chaos.total", value=sum(values), parts=tuple(part.id for part in parts)
    )


def _id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
