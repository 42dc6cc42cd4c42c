"""What a worker on Redis has taken and not begun goes back when it closes its channel, to where it was."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from kombu import Connection, Message, Queue
from redis import Redis
from redis.connection import AbstractConnection

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


@pytest.mark.parametrize("pops_many", [True, False])
def test_several_messages_come_at_once_where_the_server_can(
    place: tuple[str, str], pops_many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, name = place
    queue, taken, asked = Queue(name, routing_key=name), [], []
    send: Any = AbstractConnection.send_command

    def note(connection: AbstractConnection, *command: Any, **options: Any) -> None:
        asked.append(command[0])
        send(connection, *command, **options)

    monkeypatch.setattr(AbstractConnection, "send_command", note)
    with connection_of(url) as connection:
        for number in range(20):
            connection.Producer().publish({"number": number}, routing_key=name, declare=[queue])
        with connection.Consumer(queue, callbacks=[lambda body, message: taken.append(body["number"])]) as consumer:
            consumer.channel.most_at_once = 10 if pops_many else 1
            consumer.qos(prefetch_count=10)
            while len(taken) < 10:
                connection.drain_events(timeout=5)
    assert taken == list(range(10))
    assert [asked.count(command) for command in ("BLMPOP", "BRPOP")] == ([1, 0] if pops_many else [0, 10])


def test_messages_that_came_with_one_that_breaks_the_loop_go_back(place: tuple[str, str]) -> None:
    url, name = place
    queue, client = Queue(name, routing_key=name), Redis.from_url(url, decode_responses=True)

    def break_at_two(body: dict[str, int], message: Message) -> None:
        message.ack()
        if body["number"] == 2:
            raise KeyboardInterrupt

    with connection_of(url) as connection:
        for number in range(6):
            connection.Producer().publish({"number": number}, routing_key=name, declare=[queue])
        with connection.Consumer(queue, callbacks=[break_at_two]) as consumer:
            consumer.channel.most_at_once = 6
            consumer.qos(prefetch_count=6)
            with pytest.raises(KeyboardInterrupt):
                connection.drain_events(timeout=5)  # all that are wanted come in one event
        assert messages(client, name) == {name: 3}
        assert numbers_taken(url, queue, 3) == [3, 4, 5]


def test_few_are_fetched_only_for_a_pool_that_has_nothing_to_do(place: tuple[str, str]) -> None:
    url, name = place
    queue, taken = Queue(name, routing_key=name), []

    def look(connection: Connection) -> None:
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.2)

    with connection_of(url) as connection:
        for number in range(20):
            connection.Producer().publish({"number": number}, routing_key=name, declare=[queue])
        with connection.Consumer(queue, callbacks=[lambda body, message: taken.append(message)]) as consumer:
            consumer.channel.most_at_once, consumer.channel.fetch_from = 100, 2
            consumer.qos(prefetch_count=4)
            look(connection)
            assert len(taken) == 4
            taken[0].ack()
            look(connection)
            assert len(taken) == 4, "one place is not enough"
            taken[1].ack()
            look(connection)
            assert len(taken) == 6
            taken[2].ack()
            consumer.channel.is_occupied = lambda: False
            look(connection)
            assert len(taken) == 7
            # The pool has shrunk since: half of what the window is now is enough.
            consumer.channel.is_occupied, consumer.channel.fetch_from = (lambda: True), 8
            for message in taken[3:6]:
                message.ack()
            look(connection)
            assert len(taken) == 10


def test_nothing_is_kept_beside_the_queue(place: tuple[str, str]) -> None:
    url, name = place
    queue, client = Queue(name, routing_key=name), Redis.from_url(url, decode_responses=True)
    with connection_of(url) as connection:
        connection.Producer().publish({}, routing_key=name, declare=[queue])
        taken = []
        with connection.Consumer(queue, callbacks=[lambda body, message: taken.append(message)]):
            connection.drain_events(timeout=5)
            assert not client.hexists("unacked", taken[0].delivery_tag)


def test_what_is_rejected_goes_back_first_and_with_its_priority(place: tuple[str, str]) -> None:
    url, name = place
    queue, client = Queue(name, routing_key=name), Redis.from_url(url, decode_responses=True)
    taken: list[Message] = []
    with connection_of(url) as connection:
        for number in range(4):
            headers = {"job_bell": [name, 2, time.time()]}
            connection.Producer().publish({"number": number}, routing_key=name, priority=7, headers=headers)
        with connection.Consumer(queue, callbacks=[lambda body, message: taken.append(message)]) as consumer:
            consumer.qos(prefetch_count=2)
            while len(taken) < 2:
                connection.drain_events(timeout=5)
            for message in reversed(taken):
                message.properties["priority"] = 2  # as the worker's strategy does
                message.reject(requeue=True)
            assert messages(client, name) == {f"{name}:7": 4}
            assert consumer.channel.qos.can_consume_max_estimate() == 2
    assert messages(client, name) == {f"{name}:7": 4}, "put back once"
    assert numbers_taken(url, queue, 4) == [0, 1, 2, 3]


def test_what_comes_from_a_queue_that_was_left_goes_back_in_its_order(place: tuple[str, str]) -> None:
    url, name = place
    queue, client = Queue(name, routing_key=name), Redis.from_url(url, decode_responses=True)
    with connection_of(url) as connection:
        for number in range(5):
            connection.Producer().publish({"number": number}, routing_key=name)
        client.rename(name, f"{name}-elsewhere")
        with connection.Consumer(queue, callbacks=[lambda body, message: pytest.fail("delivered")]) as consumer:
            consumer.channel.most_at_once = 3
            consumer.qos(prefetch_count=3)
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.2)  # the server is asked, and will answer
            client.rename(f"{name}-elsewhere", name)
            assert messages(client, name) == {name: 2}, "three are on their way"
            consumer.cancel_by_queue(name)
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.5)
        assert messages(client, name) == {name: 5}
        assert numbers_taken(url, queue, 5) == [0, 1, 2, 3, 4]
