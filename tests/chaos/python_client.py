"""Submits from Python: delay, chains and chords, repeated under the same ids while the database is away."""

from collections.abc import Callable
from typing import Any

from celery import chain, chord
from sqlalchemy.exc import SQLAlchemyError

from task_app.mirror.patience import is_outage

from .workload import Order, Wanted
from .world import LOOK, World

#: How often an unanswered submit is repeated before its client despairs.
TRIES = 600


def submit(world: World, order: Order) -> bool:
    """Submit an order; say whether it was accepted. False: nobody knows."""
    send = {"chain": _send_chain, "chord": _send_chord}.get(order.kind, _send_single)
    if order.insists:
        return insist(world, lambda: send(world, order.jobs))
    return _once(world, lambda: send(world, order.jobs))


def insist(world: World, send: Callable[[], None]) -> bool:
    """Send until it is accepted; the id is known from the start, so repeating makes no second job."""
    for _ in range(TRIES):
        if _once(world, send):
            return True
        if world.stop_all.wait(LOOK):
            return False
    return False


def _once(world: World, send: Callable[[], None]) -> bool:
    try:
        with world.app.app_context():
            send()
    except SQLAlchemyError as error:
        world.book.answers["python: database away"] += 1
        if not is_outage(error):
            world.book.surprise(f"a submit in Python: {error!r}")
        return False
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        world.book.surprise(f"a submit in Python: {error!r}")
        return False
    world.book.answers["python: accepted"] += 1
    return True


def _signature(world: World, wanted: Wanted) -> Any:
    signature = world.task(wanted.task).s(**wanted.kwargs)
    return signature.set(task_id=wanted.id)


def _send_single(world: World, jobs: tuple[Wanted, ...]) -> None:
    [wanted] = jobs
    world.task(wanted.task).apply_async(
        kwargs=wanted.kwargs, task_id=wanted.id, countdown=wanted.countdown, priority=wanted.priority
    )


def _send_chain(world: World, jobs: tuple[Wanted, ...]) -> None:
    chain(*(_signature(world, wanted) for wanted in jobs)).apply_async()


def _send_chord(world: World, jobs: tuple[Wanted, ...]) -> None:
    *header, body = jobs
    chord([_signature(world, wanted) for wanted in header])(_signature(world, body))
