"""A message made the short way is the message that Celery and kombu make."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import signals
from flask import Flask
from kombu import Connection

from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Outgoing
from task_app.mirror.plain import _CatchingTransport
from task_app.mirror.publisher import CeleryPublisher

PLAIN = Outgoing(
    id="0199d1a0-0000-7000-8000-000000000001",
    task="add",
    args="[1,2]",
    kwargs="{}",
    queue="celery",
    priority=5,
    attempt=1,
    retries=0,
    expires_at=None,
    parent_id=None,
    root_id="0199d1a0-0000-7000-8000-000000000001",
    group_id=None,
    message=None,
    dispatch_at=None,
)


@pytest.fixture
def publisher(app: Flask) -> Iterator[CeleryPublisher]:
    with app.app_context():
        found = runtime().publisher
        assert isinstance(found, CeleryPublisher)
        yield found


def the_long_way(publisher: CeleryPublisher, job: Outgoing) -> Any:
    with Connection(transport=_CatchingTransport) as connection:
        producer = connection.Producer()
        publisher._send(job, producer)
        return json.loads(json.dumps(producer.channel.caught))


def opened(message: Any) -> Any:
    """Open the body, and check and drop what is of the moment."""
    message["body"] = json.loads(base64.b64decode(message["body"]))
    queue, priority, sent_at = message["headers"]["job_bell"]
    assert isinstance(sent_at, float)
    message["headers"]["job_bell"] = [queue, priority]
    assert len(message["properties"].pop("delivery_tag")) == 36
    return message


@pytest.mark.parametrize(
    "job",
    [
        PLAIN,
        replace(PLAIN, args='["é \\" \\\\ @@id@@ \\u2028", 2.5e300, null]', kwargs='{"a\\nb":[true,{}]}'),
        replace(PLAIN, args=json.dumps(["x" * 5000])),
        replace(PLAIN, id='a "strange" one', root_id='a "strange" one'),
        replace(PLAIN, attempt=7, queue="another", priority=9),
    ],
    ids=["plain", "text", "long", "id", "elsewhere"],
)
def test_it_is_the_message_that_celery_makes(publisher: CeleryPublisher, job: Outgoing) -> None:
    publisher._plain.of(PLAIN)  # the template may have been made for another job
    text = publisher._plain.of(job)
    assert text is not None
    assert opened(json.loads(text)) == opened(the_long_way(publisher, job))
    assert publisher._plain.of(job) != text, "each message has a tag of its own"


@pytest.mark.parametrize(
    "job",
    [
        replace(PLAIN, message='{"time_limit": 5}'),
        replace(PLAIN, parent_id="another"),
        replace(PLAIN, root_id="another"),
        replace(PLAIN, group_id="some"),
        replace(PLAIN, expires_at=datetime(2030, 1, 1, tzinfo=UTC)),
        replace(PLAIN, retries=1),
        replace(PLAIN, args='[{"__type__":"datetime","__value__":"nonsense"}]'),
    ],
    ids=["limits", "child", "step", "member", "expires", "retry", "typed"],
)
def test_what_is_not_plain_goes_the_long_way(publisher: CeleryPublisher, job: Outgoing) -> None:
    assert publisher._plain.of(job) is None


def test_who_wants_to_see_each_message_sees_it(publisher: CeleryPublisher) -> None:
    def look(**arguments: Any) -> None: ...

    assert publisher._plain.of(PLAIN) is not None
    signals.before_task_publish.connect(look)
    try:
        assert publisher._plain.of(PLAIN) is None
    finally:
        signals.before_task_publish.disconnect(look)


def test_other_serializers_go_the_long_way(publisher: CeleryPublisher) -> None:
    publisher._celery.conf.task_compression = "zlib"
    del publisher._celery.amqp.send_task_message  # reads the settings once
    assert publisher._plain.of(PLAIN) is None
