"""The client for other programs: what importing it costs, and what it needs."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from task_app.client import JobsError, NotAllowed, Problem, Unavailable
from task_app.client.client import _new_id, _written
from task_app.client.errors import problem_of
from task_app.client.files import write
from task_app.client.transport import Patience, _retry_after

SERVICE = ("flask", "celery", "kombu", "sqlalchemy", "marshmallow", "task_app.factory", "task_app.jobs")


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_importing_it_imports_nothing_of_the_service() -> None:
    done = python(f"import sys, task_app.client; print([name for name in {SERVICE} if name in sys.modules])")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("missing", ["httpx", "httpx_sse"])
def test_without_httpx_the_extra_is_named(missing: str) -> None:
    done = python(f"import sys; sys.modules[{missing!r}] = None; import task_app.client")
    assert done.returncode == 1 and "pip install 'task-app[client]'" in done.stderr.splitlines()[-1]


def test_the_service_is_there_when_it_is_asked_for() -> None:
    done = python("import task_app; task_app.create_app, task_app.MIGRATIONS; task_app.nothing")
    assert done.stderr.splitlines()[-1] == "AttributeError: module 'task_app' has no attribute 'nothing'"


def test_ids_are_uuids_in_the_order_of_their_making() -> None:
    before = int(datetime.now(UTC).timestamp() * 1000)
    ids = [UUID(_new_id()) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    moments = [each.int >> 80 for each in ids]
    assert moments == sorted(moments) and 0 <= moments[0] - before < 10_000


def test_values_are_written_as_json_has_them() -> None:
    assert _written(datetime(2030, 1, 31, 12, tzinfo=UTC)) == "2030-01-31T12:00:00+00:00"
    assert _written(timedelta(minutes=1)) == 60.0
    assert (_written((1, 2)), _written({3}), _written("x"), _written(None)) == ([1, 2], [3], "x", None)


def test_retry_after_is_seconds_or_a_time() -> None:
    def asked(text: str) -> float:
        return _retry_after(httpx.Response(503, headers={"Retry-After": text}))

    soon = (datetime.now(UTC) + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert asked("7") == 7 and 25 < asked(soon) <= 30
    assert asked("Wed, 21 Oct 2015 07:28:00 GMT") == asked("soon") == asked("-1") == asked("") == 0


def test_a_problem_has_the_fields_of_its_document() -> None:
    problem = problem_of(
        403, {"title": "Forbidden", "detail": "no", "type": "about:blank", "instance": "/x", "more": 1}
    )
    assert isinstance(problem, NotAllowed) and isinstance(problem, Problem)
    assert (problem.title, problem.detail, problem.type, problem.instance) == ("Forbidden", "no", "about:blank", "/x")
    assert problem.document["more"] == 1 and str(problem) == "403 Forbidden: no"
    assert type(problem_of(418, {})) is Problem and str(problem_of(418, {})) == "418 HTTP status 418"
    assert problem_of(422, {"title": "x", "errors": "odd"}).errors == {}


def test_patience_begins_anew_when_the_service_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = 100.0, list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += seconds

    monkeypatch.setattr("task_app.client.transport.time.sleep", sleep)
    monkeypatch.setattr("task_app.client.transport.time.monotonic", lambda: now)
    away = Unavailable(503, {})
    patience = Patience(1.0)

    def lose_all() -> None:
        for _ in range(100):
            patience.lost(away)

    for _ in range(2):
        with pytest.raises(Unavailable):
            lose_all()
        assert 1.0 < sum(pauses) < 3.0 and pauses[0] < pauses[-1]
        patience.found()
        pauses.clear()
    away.retry_after = 50.0
    hurried = Patience(1.0, deadline=now + 2.0)
    hurried.lost(away)
    assert pauses == [2.0], "as long as the service asks for, but not beyond the end of the wait"


def test_a_download_is_there_as_it_was_sent_or_not_at_all(tmp_path: Path) -> None:
    path, digest = tmp_path / "x", "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"  # of "hello"
    path.write_bytes(b"before")
    with pytest.raises(JobsError, match="did not arrive as it was sent"):
        write([b"hell"], digest, path)
    assert path.read_bytes() == b"before"
    write([b"hel", b"lo"], digest, path)
    assert path.read_bytes() == b"hello"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
