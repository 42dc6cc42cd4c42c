"""What a worker on Redis has taken and not begun goes back when it closes its channel, to where it was."""

import time
from collections.abc import Iterator

import pytest
from kombu import Connection, Queue
from redis import Redis

from task_app.mirror.consumer import JobAMQP

from ..services import fresh_queue

OPTIONS = {"priority_steps": list(range(10)), "sep": ":", "queue_order_strategy": "priority"}


@pytest.fixture
def place() -> Iterator[tuple[str, str]]:
    with fresh_queue("redis") as (url, queue):
        assert url is not None
        yield url, queue


def messages(client: Redis, queue: str) -> dict[str, int]:
    """Count the messages by the key of their list."""
    return {str(key): int(client.llen(key)) for key in client.keys(f"{queue}*")}


def connection_of(url: str) -> Connection:
    """Connect as a worker does."""
    connection: Connection = JobAMQP.Connection(url, transport_options=OPTIONS)  # type: ignore[no-untyped-call]
    return connection


def test_what_was_not_acknowledged_goes_back_where_it_was(place: tuple[str, str]) -> None:
    url, name = place
    queue, client = Queue(name, routing_key=name), Redis.from_url(url, decode_responses=True)
    with Connection(url, transport_options=OPTIONS) as sender:
        for priority in (9, 9, 2):  # ours; on Redis' wire 0 comes first
            headers = {"job_bell": [name, priority, time.time()]}
            sender.Producer().publish({}, routing_key=name, declare=[queue], priority=9 - priority, headers=headers)
    before = messages(client, name)
    assert before == {name: 2, f"{name}:7": 1}
    taken = []
    with connection_of(url) as connection:
        with connection.Consumer(queue, callbacks=[lambda body, message: taken.append(message)]) as consumer:
            consumer.qos(prefetch_count=3)
            while len(taken) < 3:
                connection.drain_events(timeout=5)
        assert messages(client, name) == {}
        taken[0].ack()
        for message in taken:
            message.properties["priority"] = 5  # as the worker's strategy does, for `Task.retry`
    assert messages(client, name) == {name: 1, f"{name}:7": 1}


def test_what_goes_back_keeps_its_order(place: tuple[str, str]) -> None:
    url, name = place
    queue = Queue(name, routing_key=name)
    with connection_of(url) as sender:
        for number in range(4):
            sender.Producer().publish({"number": number}, routing_key=name, declare=[queue])
    assert [numbers_taken(url, queue, 3), numbers_taken(url, queue, 4)] == [[0, 1, 2], [0, 1, 2, 3]]


def numbers_taken(url: str, queue: Queue, number: int) -> list[int]:
    """Take so many messages and acknowledge none."""
    taken: list[int] = []
    note = [lambda body, message: taken.append(body["number"])]
    with connection_of(url) as connection, connection.Consumer(queue, callbacks=note) as consumer:
        consumer.qos(prefetch_count=number)
        while len(taken) < number:
            connection.drain_events(timeout=5)
    return taken


def test_nothing_is_kept_beside_the_queue(place: tuple[str, str]) -> None:
    url, name = place
    queue, client = Queue(name, routing_key=name), Redis.from_url(url, decode_responses=True)
    with connection_of(url) as connection:
        connection.Producer().publish({}, routing_key=name, declare=[queue])
        taken = []
        with connection.Consumer(queue, callbacks=[lambda body, message: taken.append(message)]):
            connection.drain_events(timeout=5)
            assert not client.hexists("unacked", taken[0].delivery_tag)
