"""Jobs stored in the caller's own transaction, and published when it commits."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flask import has_app_context
from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from ..errors import SessionHoldsLock
from ..extensions import db
from .models import Job
from .publishing import publish_by_id
from .runtime import runtime

logger = logging.getLogger(__name__)

#: In `Session.info`: the ids of jobs to publish when the session's transaction commits.
TO_PUBLISH = "jobs to publish"


@contextmanager
def session_connection(*, own_id: bool) -> Iterator[Connection]:
    """Yield the connection of `db.session`'s transaction.

    With an id of the caller's own, which may be taken, a savepoint keeps the transaction usable.
    """
    session = db.session()
    if own_id:
        with session.begin_nested():
            yield session.connection(bind_arguments={"mapper": Job})
    else:
        yield session.connection(bind_arguments={"mapper": Job})


def publish_after_commit(job_id: str) -> None:
    """Publish this job as soon as the transaction of `db.session` is committed."""
    db.session().info.setdefault(TO_PUBLISH, []).append(job_id)


@event.listens_for(db.session, "after_commit")
def _publish(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint
    # A savepoint may have been rolled back, and its jobs with it: those are not found, and not published.
    for job_id in session.info.pop(TO_PUBLISH, ()):
        try:
            publish_by_id(job_id)
        except SQLAlchemyError:
            # What was committed is committed: an error now would look like a failed commit. A dispatcher will do it.
            logger.warning("job %s is left to a dispatcher", job_id, exc_info=True)


@event.listens_for(db.session, "after_rollback")
def _forget(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(TO_PUBLISH, None)


def refuse_if_session_writes() -> None:
    """Raise SessionHoldsLock where a write would wait, in vain, for a lock that its own caller holds.

    SQLite lets one connection write. When the caller's `db.session` has written and not committed, the kernel's
    connection could only wait until its timeout.
    """
    if not has_app_context() or runtime().engine.dialect.name != "sqlite" or not db.session.registry.has():
        return
    session = db.session()
    if not session.in_transaction() or not session.is_active:
        return  # not active: a flush has failed, and what it had written is rolled back
    raw = session.connection(bind_arguments={"mapper": Job}).connection.dbapi_connection
    if raw is not None and raw.in_transaction:
        raise SessionHoldsLock
