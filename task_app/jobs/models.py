"""The tables: `job`, the truth about every job, and what helps it.

Only `jobs.transitions` and `jobs.service` write them; only `jobs.queries` reads them. On hot paths they are used
as Core tables, never as ORM objects.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Double, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Model
from .columns import FileKey, JobId, LongText, Name, PackedText, UtcDateTime


class Job(Model):
    """One requested run of a task. The row is also the outbox: a message can be made from it at any time."""

    __tablename__ = "job"

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    task: Mapped[str] = mapped_column(Name)
    args: Mapped[str] = mapped_column(PackedText("args"))  # JSON array
    kwargs: Mapped[str] = mapped_column(PackedText("kwargs"))  # JSON object
    queue: Mapped[str] = mapped_column(Name)
    priority: Mapped[int]  # 0 to 9, higher first
    state: Mapped[str] = mapped_column(Name)
    attempt: Mapped[int]  # the attempt that runs, ran last or will run next; from 1; the fence
    retries: Mapped[int]  # how often the task asked for a retry (Celery's count)
    rescues: Mapped[int]  # how often an attempt was lost with its worker
    version: Mapped[int]  # grows with every change; the id of server-sent events
    progress: Mapped[str | None] = mapped_column(PackedText("progress"))  # JSON: what the task reported last
    result: Mapped[str | None] = mapped_column(PackedText("result"))  # JSON
    error_type: Mapped[str | None] = mapped_column(Name)
    error: Mapped[str | None] = mapped_column(PackedText("error"))  # JSON: type, module, args, message, traceback
    # Earlier attempts, one JSON object per line. Lines are added in SQL, which could not add to a packed text.
    history: Mapped[str | None] = mapped_column(LongText)
    children: Mapped[str | None] = mapped_column(PackedText("children"))  # JSON: what it sent, as Celery's tuples
    tags: Mapped[str | None] = mapped_column(LongText)  # JSON array
    artefacts: Mapped[str | None] = mapped_column(LongText)  # JSON array: files it has made, as its readers see them
    message: Mapped[str | None] = mapped_column(PackedText("message"))  # JSON: what else its message carries
    worker: Mapped[str | None] = mapped_column(Name)
    worker_id: Mapped[str | None] = mapped_column(JobId)
    parent_id: Mapped[str | None] = mapped_column(JobId)
    root_id: Mapped[str | None] = mapped_column(JobId)
    group_id: Mapped[str | None] = mapped_column(JobId)
    blocked_by: Mapped[str | None] = mapped_column(Name)  # set: waits for something other than time; not dispatched
    publish_error: Mapped[str | None] = mapped_column(LongText)  # why the broker doesn't have it yet
    forgotten: Mapped[bool]  # AsyncResult.forget() was called: Celery's readers see it no more
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    dispatch_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # set: not on the broker; publish from then on
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # set exactly when the state is final
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # somebody has dealt with this failure

    __table_args__ = (
        # Lists: newest first, by any one filter.
        Index("ix_job_created", "created_at", "id"),
        Index("ix_job_state", "state", "created_at", "id"),
        Index("ix_job_task", "task", "created_at", "id"),
        Index("ix_job_queue", "queue", "created_at", "id"),
        Index("ix_job_worker", "worker", "created_at", "id"),
        Index(
            "ix_job_error",
            "error_type",
            "created_at",
            "id",
            postgresql_where=text("error_type IS NOT NULL"),
            sqlite_where=text("error_type IS NOT NULL"),
        ),
        # The roller: what has ended since?
        Index(
            "ix_job_finished",
            "finished_at",
            postgresql_where=text("finished_at IS NOT NULL"),
            sqlite_where=text("finished_at IS NOT NULL"),
        ),
        # The dispatcher: most urgent first, then oldest. Where the database has partial indexes, only waiting alarms
        # cost anything.
        Index(
            "ix_job_dispatch",
            "priority",
            "dispatch_at",
            postgresql_where=text("dispatch_at IS NOT NULL"),
            sqlite_where=text("dispatch_at IS NOT NULL"),
        ),
        # The rescuer and the watchdog: which queues have published jobs, and which is the oldest?
        Index(
            "ix_job_published",
            "queue",
            "finished_at",
            "published_at",
            postgresql_where=text("finished_at IS NULL AND published_at IS NOT NULL"),
            sqlite_where=text("finished_at IS NULL AND published_at IS NOT NULL"),
        ),
        # The expirer.
        Index(
            "ix_job_expires",
            "expires_at",
            "finished_at",
            postgresql_where=text("expires_at IS NOT NULL AND finished_at IS NULL"),
            sqlite_where=text("expires_at IS NOT NULL AND finished_at IS NULL"),
        ),
        # Families: a cancel goes on to what its job has sent and nobody has started; pages show children.
        Index(
            "ix_job_parent",
            "parent_id",
            "finished_at",
            postgresql_where=text("parent_id IS NOT NULL"),
            sqlite_where=text("parent_id IS NOT NULL"),
        ),
        # The rescuer: what does this worker hold?
        Index(
            "ix_job_held",
            "worker_id",
            "finished_at",
            postgresql_where=text("finished_at IS NULL AND worker_id IS NOT NULL"),
            sqlite_where=text("finished_at IS NULL AND worker_id IS NOT NULL"),
        ),
        # The joiner: whose wait may be over without anybody having noticed?
        Index(
            "ix_job_blocked",
            "blocked_by",
            "created_at",
            postgresql_where=text("blocked_by IS NOT NULL"),
            sqlite_where=text("blocked_by IS NOT NULL"),
        ),
        # Chords: is any member of this group unfinished?
        Index(
            "ix_job_group",
            "group_id",
            "finished_at",
            postgresql_where=text("group_id IS NOT NULL"),
            sqlite_where=text("group_id IS NOT NULL"),
        ),
    )


class JobTag(Model):
    """A tag of a job, for lists filtered by tag."""

    __tablename__ = "job_tag"

    tag: Mapped[str] = mapped_column(Name, primary_key=True)
    job_id: Mapped[str] = mapped_column(JobId, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the job's, so that one index serves filter and order

    __table_args__ = (
        Index("ix_job_tag_newest", "tag", "created_at", "job_id"),
        Index("ix_job_tag_job", "job_id"),
    )


class FileUse(Model):
    """A job needs a file: it reads it, or has made it. Goes with either; the file itself is in `task_app.files`."""

    __tablename__ = "file_use"

    job_id: Mapped[str] = mapped_column(JobId, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    file_id: Mapped[str] = mapped_column(FileKey, ForeignKey("file.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)  # argument, artefact

    __table_args__ = (Index("ix_file_use_file", "file_id"),)


class JobGroup(Model):
    """A Celery group that somebody waits for: a saved GroupResult, or the header of a chord."""

    __tablename__ = "job_group"

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    size: Mapped[int | None]  # how many parts a chord waits for; known once its last part is being sent
    result: Mapped[str | None] = mapped_column(LongText)  # JSON: the GroupResult as Celery's tuple
    unjoined: Mapped[bool]  # a chord whose body has not been sent
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_job_group_unjoined", "unjoined", postgresql_where=text("unjoined"), sqlite_where=text("unjoined")),
        Index("ix_job_group_created", "created_at"),  # the pruner
    )


class Worker(Model):
    """One life of a worker process. A restarted worker has the same name and another row."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    host: Mapped[str] = mapped_column(Name)
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(Name)
    pool: Mapped[str] = mapped_column(Name)
    concurrency: Mapped[int]
    queues: Mapped[str] = mapped_column(LongText)  # JSON array
    running: Mapped[str] = mapped_column(LongText)  # JSON array of job ids in the pool
    prefetched: Mapped[str] = mapped_column(LongText)  # JSON array: taken from the broker, not yet in the pool
    newest: Mapped[str] = mapped_column(LongText)  # JSON: queue → priority → when the newest message taken was sent
    services: Mapped[str] = mapped_column(LongText)  # JSON: maintenance service → what it did last
    dropped: Mapped[int]  # messages that had nothing to claim: duplicates and stale ones
    refused: Mapped[int]  # writes of attempts that were over
    junk: Mapped[int]  # messages that nobody understands
    memory: Mapped[int | None] = mapped_column(BigInteger)  # bytes of the process and its pool; None: can't be told
    last_message_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when it last took one from the broker
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime] = mapped_column(UtcDateTime)  # by the database's clock
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_worker_heartbeat", "heartbeat_at"),)


class Rollup(Model):
    """What happened in one span of time: how many jobs ended, how long they waited and ran, how deep queues were.

    A row is written anew until its span is over, so that writing it twice, or by two processes, does no harm.
    """

    __tablename__ = "rollup"

    kind: Mapped[str] = mapped_column(String(8), primary_key=True)  # all, task, queue
    name: Mapped[str] = mapped_column(Name, primary_key=True)  # of the task or queue; empty for all
    seconds: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # length of the span, see `spans`
    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)  # its beginning, a multiple of its length
    succeeded: Mapped[int]
    failed: Mapped[int]
    revoked: Mapped[int]
    waits: Mapped[str] = mapped_column(LongText)  # JSON histogram: from when the job could have run to its start
    runs: Mapped[str] = mapped_column(LongText)  # JSON histogram: from its start to its end
    depth: Mapped[int | None]  # the deepest that the queue was seen (all: all queues together); None: nobody looked
    oldest: Mapped[float | None] = mapped_column(Double)  # seconds that the oldest waiting job had waited

    __table_args__ = (Index("ix_rollup_pruned", "seconds", "at"),)


class PausedQueue(Model):
    """A queue from which workers take nothing until somebody lets them again."""

    __tablename__ = "paused_queue"

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    paused_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(Name)  # the name of a key; None: nobody had to sign in
    resumed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # set: workers take from it again
