"""Arguments that are too large for the broker reach the tasks all the same, whatever is done with them."""

import json
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord

from .stack import EACH_PAIR, Stack, running

WAIT = 30
#: 300 KB each, so that a chord's body may have several.
PARTS = [[f"{name} {number}" for number in range(20_000)] for name in ("left", "right")]
BIG = PARTS[0] * 3


def sizes(stack: Stack) -> list[int]:
    """Return how many bytes each message in the broker has; they stay there."""
    with stack.celery.connection_for_read() as connection:
        channel, messages = connection.default_channel, []
        while (message := channel.basic_get(stack.queue)) is not None:
            messages.append(message)
        found = [len(message.body) + len(json.dumps(message.headers)) for message in messages]
        for message in messages:
            channel.basic_reject(message.delivery_tag, requeue=True)
    return found


@EACH_PAIR
def test_large_arguments_reach_their_tasks_and_not_the_broker(tmp_path: Path, database: str, broker: str) -> None:
    with running(tmp_path, database, broker) as stack:
        echo, sleep = stack.task("probe.echo"), stack.task("probe.sleep")
        sent = {
            "plain": echo.delay(BIG),
            "by name, compressed": echo.apply_async(kwargs={"value": BIG}, compression="zlib"),
            "retried": stack.task("probe.stubborn").delay(BIG),
            "replaced": stack.task("probe.replaced_with").delay(BIG),
            "chain": chain(echo.si("first"), echo.si(BIG), echo.s()).delay(),
        }
        both = chord([echo.s(part) for part in PARTS], echo.s()).delay()
        # The worker's main process ends it, and has to find who waits for it.
        slow = sleep.si(60).set(time_limit=1, link_error=[echo.si(BIG).set(task_id="told")])
        killed = chain(slow, echo.si(1)).delay()
        in_broker = sizes(stack)
        assert len(in_broker) == 8 and max(in_broker) < 5_000
        stack.start_worker()
        for what, result in sent.items():
            assert result.get(timeout=WAIT) == BIG, what
        assert both.get(timeout=WAIT) == PARTS
        assert stack.until_ended(killed.id).state == "FAILURE"
        assert stack.until_ended("told").result == BIG
        assert stack.job(sent["retried"].id).args == [BIG]
        assert stack.job(sent["retried"].id).attempt == 3


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_every_pool_takes_them_from_the_row(embedded_stack: Stack, pool: str) -> None:
    embedded_stack.start_worker("-P", pool)
    assert embedded_stack.task("probe.stubborn").delay(BIG).get(timeout=WAIT) == BIG
    both = chord([embedded_stack.task("probe.echo").s(part) for part in PARTS], embedded_stack.task("probe.echo").s())
    assert both.delay().get(timeout=WAIT) == PARTS


@EACH_PAIR
def test_a_foreign_message_does_not_read_the_arguments_of_others(tmp_path: Path, database: str, broker: str) -> None:
    with running(tmp_path, database, broker) as stack:
        stack.task("add").delay(1, 1)  # the embedded broker starts with the first submit
        secret = stack.task("probe.stubborn").apply_async((BIG,), countdown=3600)
        foreign = foreign_to(stack)
        asks: dict[str, Any] = {"queue": stack.queue, "headers": {"job_arguments_in_row": True}}
        own = foreign.send_task("probe.echo", ("own",), **asks)
        foreign.send_task("probe.echo", ("taken over",), task_id=secret.id, **asks)
        asks["headers"] |= {"job_attempt": 1}
        other = stack.task("probe.stubborn").apply_async((BIG,), countdown=3600)
        foreign.send_task("probe.echo", (), task_id=other.id, **asks)
        stack.start_worker()
        assert stack.until_ended(own.id).result == "own"
        assert stack.until_ended(secret.id).result == "taken over"
        error = stack.until_ended(other.id).error
        assert error is not None and error["type"] == "WrongMessage"


def foreign_to(stack: Stack) -> Celery:
    """Return another program's app on the same broker."""
    mine = stack.celery.conf
    foreign = Celery(broker=mine.broker_url, set_as_current=False)
    foreign.conf.broker_transport_options = mine.broker_transport_options
    foreign.conf.task_queue_max_priority = mine.task_queue_max_priority
    return foreign
