"""The service, from another program."""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

from .errors import Conflict, NotFound
from .files import FileInfo, write
from .job import ClientJob, path_of
from .transport import Transport

#: Jobs that are asked for at once.
PAGE = 100


@dataclass(frozen=True, slots=True)
class TaskType:
    """A task that can be asked for. `document` is all that the service says of it."""

    name: str
    summary: str
    schema: dict[str, Any]  # JSON Schema of its arguments
    queue: str
    document: Mapping[str, Any]


class JobsClient:
    """Submits, follows and steers jobs over HTTP. Safe to use from several threads; close it, or use it with `with`.

    `timeout`: seconds for one answer. `retries`: how often a request is sent again when the service does not answer, or
    not now; whatever is asked for is done once all the same. `patience`: seconds that `wait` and `events` outlive a
    service that is away.
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 10.0, retries: int = 5, patience: float = 60.0
    ) -> None:
        self._transport = Transport(url, key, timeout=timeout, retries=retries, patience=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # -- submitting --------------------------------------------------------------------------------------------------

    def submit(
        self,
        task: str,
        /,
        *args: Any,
        queue: str | None = None,
        priority: int | None = None,
        countdown: float | timedelta | None = None,
        eta: datetime | None = None,
        expires: float | timedelta | datetime | None = None,
        tags: Iterable[str] | None = None,
        task_id: str | None = None,
        max_retries: int | None = None,
        soft_time_limit: float | None = None,
        time_limit: float | None = None,
        **kwargs: Any,
    ) -> ClientJob:
        """Submit a job: once, however often it has to be sent. When this returns, the job is accepted.

        An argument of the task that is called like an option is given by position, or with `submit_many`. With a
        `task_id` of your own, a job of this task that has it already is Conflict.
        """
        options = {
            "queue": queue,
            "priority": priority,
            "countdown": countdown,
            "eta": eta,
            "expires": expires,
            "tags": tags,
            "max_retries": max_retries,
            "soft_time_limit": soft_time_limit,
            "time_limit": time_limit,
        }
        given = {name: value for name, value in options.items() if value is not None}
        body = _body({"task": task, "args": args, "kwargs": kwargs, "task_id": task_id, **given})
        try:
            document = self._transport.request("POST", "tasks", json=body)
        except Conflict as error:
            if not error.is_repeated:
                raise
            # The answer to an earlier try was lost, and that try was accepted.
            job = self.job(body["task_id"])
            if job.task != task:
                raise
            return job
        return ClientJob(self._transport, document)

    def submit_many(self, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Submit jobs, all or none, and return their ids in order.

        Each is what `POST /tasks` takes: `{"task": "add", "kwargs": {"a": 1, "b": 2}, "queue": "math"}`.
        """
        bodies = [_body(job) for job in jobs]
        ids = [body["task_id"] for body in bodies]
        try:
            self._transport.request("POST", "tasks/batch", json={"jobs": bodies})
        except Conflict as error:
            if not error.is_repeated or not self._has(ids):
                raise
        return ids

    def _has(self, ids: list[str]) -> bool:
        """Say whether a batch is in the table: then its last job is there."""
        try:
            self.job(ids[-1])
        except NotFound:
            return False
        return True

    # -- reading -----------------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> ClientJob:
        """Return a job. Raises NotFound."""
        return ClientJob(self._transport, self._transport.request("GET", path_of(job_id)))

    def jobs(self, **filters: Any) -> Iterator[ClientJob]:
        """Yield jobs, newest first, page by page; filters are those of `GET /tasks`, such as `status` and `task`."""
        query = {"limit": PAGE} | {name: _written(value) for name, value in filters.items() if value is not None}
        while True:
            page = self._transport.request("GET", "tasks", params=query)
            for document in page["tasks"]:
                yield ClientJob(self._transport, document)
            if not page["next_cursor"]:
                return
            query = {**query, "cursor": page["next_cursor"]}

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state; counting stops at a limit, 10 000."""
        counts: dict[str, int] = self._transport.request("GET", "task-counts")["counts"]
        return counts

    def task_types(self) -> list[TaskType]:
        """Return the tasks that can be asked for."""
        found = self._transport.request("GET", "task-types")
        return [TaskType(each["name"], each["summary"], each["schema"], each["queue"], each) for each in found]

    # -- files -------------------------------------------------------------------------------------------------------

    def upload(self, path: Path | str, *, name: str | None = None, type: str | None = None) -> FileInfo:  # noqa: A002
        """Let the service keep a file; its `id` is an argument for tasks that want one.

        It is read while it is sent. Should an answer be lost, it is sent again; the first is swept away by the service
        when its time is over. Raises InvalidRequest for one that is too large or of a type that is not accepted.
        """
        path = Path(path)
        return FileInfo.of(self._transport.upload("files", path, name or path.name, type))

    def download(self, file_id: str, path: Path | str) -> Path:
        """Write a file to a path, whole or not at all; what is there is replaced. Raises NotFound."""
        path = Path(path)
        self._transport.download(
            f"files/{quote(file_id, safe='')}", lambda pieces, headers: write(pieces, headers["Repr-Digest"], path)
        )
        return path

    # -- steering ----------------------------------------------------------------------------------------------------

    def cancel(self, job_id: str) -> ClientJob:
        """Cancel a job. Raises NotFound, and Conflict when it has ended."""
        return self.job(job_id).cancel()

    def retry(
        self, job_id: str, *, args: list[Any] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> ClientJob:
        """Run an ended job again. Raises NotFound, and Conflict when it has not ended."""
        return self.job(job_id).retry(args=args, kwargs=kwargs)

    def delete(self, job_id: str) -> None:
        """Delete an ended job for good. Raises NotFound, and Conflict when it has not ended."""
        try:
            self._transport.request("DELETE", path_of(job_id))
        except NotFound as error:
            if not error.is_repeated:  # else an earlier try has done it
                raise


def _body(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent of a job. The id is drawn here, so that sending it twice makes one job."""
    written = {name: _written(value) for name, value in job.items()}
    return written | {"task_id": written.get("task_id") or _new_id()}


def _written(value: Any) -> Any:
    """Return moments and spans as JSON has them."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return value


def _new_id() -> str:
    """Return an id for a job, a UUID of version 7: new ones go to the end of the table's index."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    number = number & ~(0xF << 76) | 7 << 76  # the version
    number = number & ~(0x3 << 62) | 2 << 62  # the variant
    return str(UUID(int=number))
