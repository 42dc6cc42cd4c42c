"""On a table with a past, every statement of the service finds its rows by an index.

Each is run as the service runs it, and PostgreSQL is asked how it would: no plan may read the job table from one end to
the other, however long it grows.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask_migrate import upgrade
from sqlalchemy import Connection, Engine, event, text

from task_app import create_app
from task_app.files import rows
from task_app.jobs import faults, file_uses, groups, lists, queries, rolling, rollups, spans, transitions, triage
from task_app.jobs.family import family
from task_app.jobs.lists import Filter
from task_app.jobs.reasons import blocked, in_table, on_broker
from task_app.jobs.reasons.look import Look
from task_app.jobs.runtime import JobRuntime
from task_app.jobs.states import State, WaitReason
from task_app.jobs.submission import Sender
from task_app.jobs.view import JobView
from task_app.jobs.workers import Watch

from .. import services
from ..conftest import dispose, settings_for
from ..factories import job_row

NOW = datetime.now(UTC)
PAST = 30_000
ERROR = faults.fault("ValueError", "builtins", ["no"], "no")
LINE = '{"attempt": 1}\n'
#: The job that single moves are tried on: of the right state for none, so that nothing changes.
ONE = "0198-nobody"
#: A member of a group, and a child.
FAMILIAR = "0198-familiar"


def past(number: int) -> dict[str, Any]:
    """Make one of many ended jobs: all states, tasks, queues and workers, over a year."""
    ended = NOW - timedelta(minutes=17 * number)
    state = (State.SUCCESS, State.SUCCESS, State.SUCCESS, State.FAILURE, State.REVOKED)[number % 5]
    common = number % 50 == 0
    return job_row(
        state=state,
        task=f"task.{number % 40}",
        queue=f"queue-{number % 6}",
        created_at=ended - timedelta(seconds=3),
        dispatch_at=None,
        published_at=ended - timedelta(seconds=2),
        started_at=ended - timedelta(seconds=1),
        finished_at=ended,
        error_type="ValueError" if state == State.FAILURE else None,
        worker=f"w{number % 9}@host",
        worker_id=f"life-{number % 300}",
        group_id=f"group-{number // 100}" if common else None,
        parent_id=f"parent-{number // 100}" if common else None,
        tags=json.dumps(["red", f"batch-{number // 1000}"]) if common else None,
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A PostgreSQL database of its own, with a year behind it and a hundred jobs to do."""
    folder = tmp_path_factory.mktemp("plans")
    with services.fresh_database("postgresql", folder) as url:
        app = create_app(settings_for(folder, SQLALCHEMY_DATABASE_URI=url))
        with app.app_context():
            upgrade()
        here: JobRuntime = app.extensions["jobs"]
        with here.engine.connect() as connection:
            transitions.insert_jobs(connection, [past(number) for number in range(PAST)])
            transitions.insert_jobs(connection, [job_row(dispatch_at=NOW - timedelta(seconds=n)) for n in range(100)])
            transitions.insert_jobs(connection, [job_row(id=FAMILIAR, group_id="group-7", parent_id="parent-7")])
            groups.save(connection, "group-7", size=3, now=NOW)
            connection.execute(text(ROLLUPS))
            connection.execute(text(FILES))
            connection.execute(text(USES))
            connection.execute(text("ANALYZE job, job_tag, job_group, worker, rollup, file, file_use"))
        yield here.engine
        dispose(app)


#: As many as a service has that does 40 tasks in 6 queues: 10 s for 3 hours, 5 minutes for 3 days, hours for 400 days.
ROLLUPS = """
    INSERT INTO rollup (kind, name, seconds, at, succeeded, failed, revoked, waits, runs)
    SELECT kind, name, seconds, date_trunc('hour', now()) - n * seconds * interval '1 second', 1, 0, 0, '[]', '[]'
    FROM (SELECT 'all' AS kind, '' AS name UNION ALL SELECT 'task', 'task.' || i FROM generate_series(0, 39) AS i
          UNION ALL SELECT 'queue', 'queue-' || i FROM generate_series(0, 5) AS i) AS names,
         (VALUES (10, 1080), (300, 864), (3600, 2400)) AS spans (seconds, number), generate_series(0, number) AS n
"""
#: A file an hour, used by one of the jobs each.
FILES = """
    INSERT INTO file (id, name, type, size, sha256, state, created_at, seen_at)
    SELECT 'file-' || md5(n::text), n || '.csv', 'text/csv', 1, repeat('0', 64), 'here',
           now() - n * interval '1 hour', now() - n * interval '1 hour'
    FROM generate_series(0, 20000) AS n
"""
USES = """
    INSERT INTO file_use (job_id, file_id, kind)
    SELECT job.id, 'file-' || md5(n::text), 'argument'
    FROM (SELECT id, row_number() OVER () AS n FROM job) AS job WHERE n <= 20000
"""
FILE = "file-" + hashlib.md5(b"7", usedforsecurity=False).hexdigest()
NAMING = job_row(id="0198-naming", kwargs=f'{{"file":"{FILE}"}}')
Do = Callable[[Connection], Any]
WATCH = Watch(**dict.fromkeys(("interval", "timeout", "patience", "lost_after", "cancel_grace"), timedelta(seconds=9)))


def look(connection: Connection, **values: Any) -> Look:
    """Return what explains a job with these columns."""
    return Look(connection, JobView.from_row(job_row(**values)), NOW, WATCH)


READS: dict[str, Do] = {
    "one": lambda c: queries.get(c, ONE),
    "versions": lambda c: queries.versions(c, [ONE, "another"]),
    "the newest": lambda c: lists.page(c, Filter(), limit=50),
    "a later page": lambda c: lists.page(c, Filter(), limit=50, after=(NOW - timedelta(days=100), ONE)),
    "by status": lambda c: lists.page(c, Filter(status="FAILURE"), limit=50),
    "by a status that few have": lambda c: lists.page(c, Filter(status="STARTED"), limit=50),
    "by task": lambda c: lists.page(c, Filter(task="task.7"), limit=50),
    "by queue": lambda c: lists.page(c, Filter(queue="queue-3"), limit=50),
    "by worker": lambda c: lists.page(c, Filter(worker="w3@host"), limit=50),
    "by tag": lambda c: lists.page(c, Filter(tag="red"), limit=50),
    "by task and queue": lambda c: lists.page(c, Filter(task="task.7", queue="queue-3"), limit=50),
    "by what never meets": lambda c: lists.page(c, Filter(task="task.7", queue="none"), limit=50),
    "by tag and status": lambda c: lists.page(c, Filter(tag="batch-7", status="FAILURE"), limit=50),
    "by several states": lambda c: lists.page(c, Filter(status="finished"), limit=50),
    "what runs": lambda c: lists.page(c, Filter(status="running"), limit=50),
    "what waits, by task": lambda c: lists.page(c, Filter(status="waiting", task="task.7"), limit=50),
    "by error": lambda c: lists.page(c, Filter(error="ValueError"), limit=50),
    "by error and task": lambda c: lists.page(c, Filter(error="ValueError", task="task.7", resolved=False), limit=50),
    "unresolved": lambda c: lists.page(c, Filter(resolved=False), limit=50),
    "by parent": lambda c: lists.page(c, Filter(parent="parent-7"), limit=50),
    "by group and status": lambda c: lists.page(c, Filter(group="group-7", status="finished"), limit=50),
    "by id": lambda c: lists.page(c, Filter(id="0198-no"), limit=50),
    "by argument": lambda c: lists.page(c, Filter(argument="kwargs.a=1"), limit=50),
    "by argument, task and tag": lambda c: lists.page(
        c, Filter(argument="kwargs.a=1", task="task.7", tag="batch-7"), limit=50
    ),
    "count by status": lambda c: lists.count(c, Filter(status="finished"), limit=100),
    "count by task and error": lambda c: lists.count(c, Filter(task="task.7", error="ValueError"), limit=100),
    "count by tag and id": lambda c: lists.count(c, Filter(tag="red", id="0"), limit=100),
    "names": lambda c: [lists.names(c, field) for field in lists.NAMED],
    "names that begin so": lambda c: lists.names(c, "task", "task.1"),
    "earlier runs": lambda c: lists.earlier_runs(c, "task.7", NOW),
    "failures": lambda c: triage.failures(c, NOW - timedelta(days=7), reach=100),
    "all failures": lambda c: triage.failures(c, resolved=None, reach=100),
    "a family": lambda c: family(c, FAMILIAR),
    "versions on a page": lambda c: lists.versions(c, Filter(), limit=50),
    "versions on a later page": lambda c: lists.versions(
        c, Filter(tag="red"), limit=50, after=(NOW - timedelta(days=9), ONE)
    ),
    "versions by task and queue": lambda c: lists.versions(c, Filter(task="task.7", queue="queue-3"), limit=50),
    "depths": lambda c: lists.depths(c, limit=100),
    "counts": lambda c: lists.counts(c, limit=100),
    "their pulse": lists.pulse,
    "by day": lambda c: lists.page(
        c, Filter(created_after=NOW - timedelta(days=90), created_before=NOW - timedelta(days=89)), limit=50
    ),
    "place in line": lambda c: on_broker.place_in_queue(look(c, queue="queue-3", published_at=NOW)),
    "place before the dispatchers": lambda c: in_table.about_to_be_published(look(c, priority=4), NOW, []),
    "why a body waits": lambda c: blocked.why_blocked(
        look(c, blocked_by=WaitReason.CHORD, message='{"header": "group-7"}')
    ),
    "why a replaced job waits": lambda c: blocked.why_blocked(
        look(c, blocked_by=WaitReason.REPLACEMENT, id="parent-7")
    ),
    "results": lambda c: list(queries.metas(c, [ONE])),
    "a chord's parts": lambda c: queries.group_is_complete(c, "group-7", 3),
    "a chord's message": lambda c: queries.message_of_a_part(c, "group-7"),
    "chords to join": lambda c: queries.unjoined_groups(c, 100),
    "what follows": lambda c: queries.waiting_children(c, ["parent-7"]),
    "waiting steps": lambda c: queries.steps_waiting(c, (NOW - timedelta(days=9), ONE), NOW, NOW, 1000),
    "waiting bodies": lambda c: queries.bodies_waiting(c, (NOW - timedelta(days=9), ONE), NOW, 100),
    "expired": lambda c: queries.expired(c, NOW, 100),
    "anything due": lambda c: queries.anything_due(c, NOW),
    "due": lambda c: queries.due(c, NOW, 200),
    "held by the dead": lambda c: queries.held_by(c, ["life-7", "life-8"], 100),
    "held by nobody": lambda c: queries.held_by_nobody(c, NOW, 100),
    "to cancel": lambda c: queries.cancel_requests(c, "life-7"),
    "queues with published jobs": queries.queues_with_published,
    "published and unclaimed": lambda c: queries.published_before(c, NOW, "queue-3", 500),
    "prunable": lambda c: queries.prunable(c, "SUCCESS", NOW - timedelta(days=300), limit=500),
    "prunable failures": lambda c: queries.prunable(
        c, "FAILURE", NOW - timedelta(days=300), keep_newest=1000, limit=500
    ),
}
HOUR, MONTH = timedelta(hours=1), timedelta(days=30)
READS |= {
    "what ended": lambda c: rolling.count_ended(c, 10, spans.floor(NOW - 6 * HOUR, 10), spans.floor(NOW, 10)),
    "the first end": lambda c: rolling.first_end(c, NOW - MONTH),
    "the end of a step": lambda c: rolling.end_after(c, NOW - MONTH, NOW, 1000),
    "how far": lambda c: [rolling.counted_until(c, span) for span in spans.SPANS],
    "the first row": lambda c: rolling.first_row(c, 300, NOW - 9 * HOUR),
    "rows": lambda c: rolling.stored(c, 10, NOW - timedelta(minutes=1), NOW),
    "old rows": lambda c: rolling.prune(c, 300, NOW - 2 * MONTH),
    "a series": lambda c: rollups.series(c, "task", "task.7", start=NOW - HOUR, end=NOW),
    "a long series": lambda c: rollups.series(c, "queue", "queue-3", start=NOW - MONTH, end=NOW),
    "a table": lambda c: rollups.by_name(c, "task", start=NOW - HOUR, end=NOW),
    "names of what happened": lambda c: rollups.names(c, "task", start=NOW - MONTH, end=NOW),
    "sparklines": lambda c: rollups.sparklines(c, "queue", ["queue-1", "queue-3"], start=NOW - HOUR, end=NOW),
}
READS |= {
    "files": lambda c: rows.newest(c, 50, None),
    "a later page of files": lambda c: rows.newest(c, 50, (NOW - MONTH, FILE)),
    "a file": lambda c: rows.get(c, FILE),
    "files that are there": lambda c: rows.existing(c, [FILE, "another"]),
    "files of a job": lambda c: rows.artefacts_of(c, ONE),
    "a user of a file": lambda c: file_uses.unfinished_user(c, FILE),
    "whether a file is used": lambda c: rows.has_use(c, FILE),
    "files to look at": lambda c: rows.walk(c, (NOW - MONTH, FILE), 100),
    "used files": lambda c: file_uses.used_among(c, [FILE, "another"]),
    "files that never came": lambda c: rows.unfinished(c, NOW, 100),
}
MOVES: dict[str, Do] = {
    "name a file": lambda c: file_uses.note_uses(c, [NAMING | {"id": FAMILIAR}]),
    "name another file": lambda c: file_uses.note_more_uses(c, FAMILIAR, NAMING["args"], NAMING["kwargs"]),
    "release a file": lambda c: file_uses.release(c, "another"),
    "let a file go": lambda c: rows.let_go(c, "another"),
    "forget a file": lambda c: rows.forget(c, "another"),
    "hold": lambda c: transitions.hold(c, ONE, 1),
    "hold any": lambda c: transitions.hold(c, ONE),
    "say what was made": lambda c: transitions.set_artefacts(c, ONE, None),
    "claim": lambda c: transitions.claim(c, ONE, 1, worker="w@h", worker_id="life-1", now=NOW),
    "report": lambda c: transitions.report(c, ONE, 1, state="PROGRESS", meta="{}"),
    "succeed": lambda c: transitions.succeed(c, ONE, 1, result="3", children=None, now=NOW),
    "fail": lambda c: transitions.end_badly(c, ONE, 1, state=State.FAILURE, error=ERROR, now=NOW),
    "fail what follows": lambda c: transitions.end_badly(
        c, ONE, None, state=State.FAILURE, error=ERROR, after="before", now=NOW
    ),
    "rescue": lambda c: transitions.rescue(c, ONE, 1, error=ERROR, line=LINE, wake_at=NOW),
    "go on": lambda c: transitions.unblock(c, ONE, values=job_row(), wake_at=NOW, by=Sender("before", 1)),
    "wait again": lambda c: transitions.await_again(c, ONE, 1, reason=WaitReason.CHAIN),
    "mark": lambda c: transitions.mark_published(c, [(ONE, 1)], NOW),
    "publish again": lambda c: transitions.publish_again(c, ONE, 1, NOW),
    "cancel": lambda c: transitions.cancel_waiting(c, ONE, error=ERROR, now=NOW),
    "cancel running": lambda c: transitions.cancel_running(c, ONE, now=NOW),
    "resolve": lambda c: transitions.resolve(c, ONE, now=NOW),
    "unresolve": lambda c: transitions.unresolve(c, ONE),
    "delete": lambda c: transitions.delete_ended(c, ONE),
    "delete many": lambda c: transitions.delete_many_ended(c, [ONE, "another"]),
    "prune groups": lambda c: groups.prune(c, NOW - timedelta(days=30), 500),
}


@pytest.mark.parametrize("name", [*READS, *MOVES])
def test_no_statement_reads_the_whole_table(engine: Engine, name: str) -> None:
    plans: list[str] = []

    def explain(connection: Connection, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        with connection.connection.driver_connection.cursor() as asking:  # type: ignore[union-attr]
            asking.execute(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(line for (line,) in asking.fetchall()))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        with engine.connect() as connection:
            (READS | MOVES)[name](connection)
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    assert plans
    for plan in plans:
        assert "Seq Scan on job " not in plan and "Seq Scan on job_tag" not in plan, plan
        assert "Seq Scan on rollup" not in plan and "Seq Scan on file" not in plan, plan
