"""The messages of plain jobs on Redis, from templates that Celery and kombu have written themselves.

Most jobs are plain: a task, its arguments and a queue, nothing else. Celery and kombu take as long to make such a
message as everything else in a request that submits one. So they make one for each task, queue and priority, with
marks in the places that differ, and the rest is filling in.
"""

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from celery import Celery, signals
from kombu import Connection, Producer
from kombu.transport import virtual
from kombu.utils.json import dumps

from ..jobs.submission import Outgoing
from . import in_row

REPR_LIMIT = 1024  # characters, as Celery's own
_ID, _ARGS, _KWARGS = "@@id@@", '["@@args@@"]', '{"@@kwargs@@": 0}'
#: What is filled in, and whether its quotes go with it because it is no text.
_SLOTS = {"id": False, "body": False, "args": False, "kwargs": False, "tag": False, "attempt": True, "bell": True}
_SLOT = re.compile("|".join(f'"@@{name}@@"' if bare else f"@@{name}@@" for name, bare in _SLOTS.items()))


class _Catcher(virtual.Channel):
    """A broker that keeps the last message as kombu would have sent it."""

    caught: Any = None

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        self.caught = message

    def _new_queue(self, queue: str, **options: Any) -> None:
        """Every queue is there."""

    def _has_queue(self, queue: str, **options: Any) -> bool:
        return True


class _CatchingTransport(virtual.Transport):
    Channel = _Catcher
    global_state = virtual.BrokerState()


class Template:
    """One message, cut at the places that differ from job to job."""

    def __init__(self, message: Any, queue: str) -> None:
        """Cut the message of a job whose id and arguments are the marks.

        Raises ValueError for one that is no JSON for this very queue: another serializer, compressed, an exchange.
        """
        headers, properties = message["headers"], message["properties"]
        way = properties["delivery_info"]
        body = base64.b64decode(message["body"]).decode()
        before, _, rest = body.partition(_ARGS)
        between, _, after = rest.partition(_KWARGS)
        if (way["exchange"], way["routing_key"]) != ("", queue) or not (before and between and after):
            raise ValueError("not a plain message")
        self._body = (before, between, after)
        headers["argsrepr"], headers["kwargsrepr"] = "@@args@@", "@@kwargs@@"
        headers["job_attempt"], headers["job_bell"][2] = "@@attempt@@", "@@bell@@"
        properties["delivery_tag"], message["body"] = "@@tag@@", "@@body@@"
        text = dumps(message)
        self._literals = _SLOT.split(text)
        self._slots = [slot.strip('"@') for slot in _SLOT.findall(text)]

    def fill(self, job: Outgoing) -> str:
        """Return the message of a job, as text."""
        before, between, after = self._body
        values = {
            "id": _inside(job.id),
            "body": base64.b64encode(f"{before}{job.args}{between}{job.kwargs}{after}".encode()).decode(),
            "args": _inside(job.args[:REPR_LIMIT]),
            "kwargs": _inside(job.kwargs[:REPR_LIMIT]),
            "tag": str(uuid4()),
            "attempt": str(job.attempt),
            "bell": repr(time.time()),
        }
        parts = [self._literals[0]]
        for slot, literal in zip(self._slots, self._literals[1:], strict=True):
            parts += values[slot], literal
        return "".join(parts)


def _inside(text: str) -> str:
    """Write text as JSON does, without the quotes around it."""
    return json.dumps(text)[1:-1]


class PlainMessages:
    """Makes messages of plain jobs."""

    def __init__(self, celery: Celery, send: Callable[[Outgoing, Producer], None], limit: int) -> None:
        """`send` sends any job the long way; `limit` is how many bytes of arguments a message may carry."""
        self._celery = celery
        self._send = send
        self._limit = limit
        self._templates: dict[tuple[str, str, int], Template | None] = {}

    def of(self, job: Outgoing) -> str | None:
        """Return the message of a job as text; None for one that isn't plain, or where somebody wants to see each."""
        if not _is_plain(job) or in_row.are_too_large(job, self._limit) or self._are_watched():
            return None
        key = (job.task, job.queue, job.priority)
        if key not in self._templates:
            self._templates[key] = self._template(job)
        template = self._templates[key]
        return None if template is None else template.fill(job)

    def _are_watched(self) -> bool:
        return bool(
            signals.before_task_publish.receivers
            or signals.after_task_publish.receivers
            or signals.task_sent.receivers
            or self._celery.conf.task_send_sent_event
        )

    def _template(self, job: Outgoing) -> Template | None:
        values = {name: getattr(job, name) for name in Outgoing.__dataclass_fields__}
        marked = Outgoing(**values | {"id": _ID, "root_id": _ID, "args": _ARGS, "kwargs": _KWARGS})
        with Connection(transport=_CatchingTransport) as connection:
            producer = connection.Producer()
            self._send(marked, producer)
            try:
                return Template(producer.channel.caught, job.queue)
            except ValueError:
                return None


def _is_plain(job: Outgoing) -> bool:
    return (
        job.message is None
        and job.parent_id is None
        and job.root_id == job.id
        and job.group_id is None
        and job.expires_at is None
        and job.retries == 0
        and "__type__" not in job.args  # kombu's typed values may be nonsense, which the long way finds out
        and "__type__" not in job.kwargs
    )
