"""A table with a past, made by PostgreSQL itself: ended jobs of all states over years, and some that wait."""

import time

from sqlalchemy import Connection, Engine, text

YEARS = 3
CHUNK = 250_000
#: One in so many waits: due later, for a retry, or for an earlier step.
ONE_WAITS_IN = 100
TASKS, QUEUES, WORKERS, TAGGED_IN = 40, 6, 50, 20

_INSERT = text(
    """
    INSERT INTO job (id, task, args, kwargs, queue, priority, state, attempt, retries, rescues, version, result,
                     error_type, error, history, tags, worker, worker_id, root_id, parent_id, blocked_by, forgotten,
                     created_at, due_at, dispatch_at, published_at, started_at, finished_at)
    SELECT id, 'task.' || n % :tasks, '[1, 2]', '{"name": "value"}', 'queue-' || n % :queues, 5, state,
           1 + (n % 17 = 0)::int, (n % 17 = 0)::int, 0, 5,
           CASE WHEN state = 'SUCCESS' THEN '{"rows": 1200, "file": "report.pdf"}' END,
           CASE WHEN state = 'FAILURE' THEN 'ValueError' END,
           CASE WHEN state = 'FAILURE' THEN '{"type": "ValueError", "module": "builtins", "args": ["no"],'
                || ' "message": "no", "traceback": "Traceback (most recent call last): ..."}' END,
           CASE WHEN n % 17 = 0 THEN '{"attempt": 1, "state": "RETRY", "worker": "w1@host"}' || chr(10) END,
           CASE WHEN n % :tagged_in = 0 THEN '["red", "batch-' || n / 1000 || '"]' END,
           CASE WHEN ended THEN 'w' || n % :workers || '@host' END,
           CASE WHEN ended THEN 'life-' || n % 3000 END,
           id, CASE WHEN state = 'PENDING' AND n % 2 = 0 THEN id END,
           CASE WHEN state = 'PENDING' AND n % 2 = 0 THEN 'an earlier step of its chain' END, false,
           created_at,
           CASE WHEN NOT ended THEN now() + interval '1 year' END,
           CASE WHEN NOT ended AND n % 2 = 1 THEN now() + interval '1 year' END,
           CASE WHEN ended THEN created_at + interval '1 second' END,
           CASE WHEN ended THEN created_at + interval '2 seconds' END,
           CASE WHEN ended THEN created_at + interval '3 seconds' END
    FROM (
        SELECT n, created_at, state, state IN ('SUCCESS', 'FAILURE', 'REVOKED') AS ended,
               substr(at, 1, 8) || '-' || substr(at, 9, 4) || '-7000-8000-' || lpad(to_hex(n), 12, '0') AS id
        FROM (
            SELECT n, created_at, lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0') AS at,
                   CASE WHEN n % :one_waits_in = 0 THEN (ARRAY['PENDING', 'PENDING', 'RETRY'])[1 + n / 100 % 3]
                        ELSE (ARRAY['SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS',
                                    'FAILURE', 'FAILURE', 'REVOKED'])[1 + n % 10] END AS state
            FROM (
                SELECT n, now() - (:rows - n) * (interval '1 year' * :years / :rows) AS created_at
                FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
            ) AS numbers
        ) AS moments
    ) AS jobs
    """
)
_TAGS = text(
    "INSERT INTO job_tag (tag, job_id, created_at) "
    "SELECT tag, id, created_at FROM job, json_array_elements_text(tags::json) AS tag WHERE tags IS NOT NULL"
)
_INDEXES = text(
    "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('job', 'job_tag') AND indexdef NOT LIKE '%UNIQUE%'"
)


def fill(engine: Engine, rows: int) -> None:
    """Fill the empty tables. Indexes are dropped before and made again after; it takes a minute per million rows."""
    begin = time.monotonic()
    with engine.connect() as connection:
        indexes = connection.execute(_INDEXES).all()
        for name, _ in indexes:
            connection.execute(text(f"DROP INDEX {name}"))
        _insert(connection, rows)
        print(f"  {rows:,} rows after {time.monotonic() - begin:.0f} s", flush=True)
        connection.execute(text("SET maintenance_work_mem = '512MB'"))
        for _, definition in indexes:
            connection.execute(text(definition))
        for table in ("job", "job_tag"):
            connection.execute(text(f"VACUUM (ANALYZE) {table}"))
    print(f"  indexed and analysed after {time.monotonic() - begin:.0f} s", flush=True)


def _insert(connection: Connection, rows: int) -> None:
    fixed = {"tasks": TASKS, "queues": QUEUES, "workers": WORKERS, "tagged_in": TAGGED_IN, "years": YEARS}
    for first in range(1, rows + 1, CHUNK):
        last = min(rows, first + CHUNK - 1)
        params = {**fixed, "one_waits_in": ONE_WAITS_IN, "rows": rows, "first": first, "last": last}
        connection.execute(_INSERT, params)
    connection.execute(_TAGS)
