"""JobsClient against a real web server and a real worker, over a network that breaks."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from task_app.client import (
    ClientJob,
    Conflict,
    InvalidRequest,
    JobFailed,
    JobRevoked,
    JobsClient,
    JobsError,
    NoAnswer,
    NotAllowed,
    NotFound,
    Unavailable,
    WaitTimeout,
)
from task_app.client import transport as transport_module
from task_app.jobs.states import is_final
from task_app.keys import service as keys
from task_app.keys.roles import Role

from ..chaos.proxy import Proxy
from .stack import Stack, free_port, running, until

PATIENCE = 30.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service on embedded parts with one worker."""
    with running(tmp_path_factory.mktemp("client"), "sqlite", "embedded") as stack:
        stack.start_worker("-Q", f"{stack.queue},quick")
        yield stack


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    return stack.start_web("tests.acceptance.web:app")


@pytest.fixture
def client(address: str) -> Iterator[JobsClient]:
    with JobsClient(address) as client:
        yield client


@pytest.fixture
def network(address: str) -> Iterator[Proxy]:
    """What is between the client and the service."""
    parts = urlsplit(address)
    assert parts.hostname and parts.port
    proxy = Proxy(parts.hostname, parts.port)
    proxy.start()
    yield proxy
    proxy.close()


@contextmanager
def between(address: str, meddle: Callable[[str, str, int], str | int | None]) -> Iterator[str]:
    """Yield the address of a proxy that meddles with each request: method, path and how often it came are given.

    "before" closes the connection instead of passing it on, "after" passes it on and loses the answer, a number is a
    status to answer with, None means well.
    """
    counts: dict[tuple[str, str], int] = {}

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            path = self.path.partition("?")[0]
            number = counts[self.command, path] = counts.get((self.command, path), 0) + 1
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            what = meddle(self.command, path, number)
            if what == "before":
                self.close_connection = True
                return
            if isinstance(what, int):
                self.send_response(what)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            headers = {name: self.headers[name] for name in ("Content-Type", "Last-Event-ID") if name in self.headers}
            with httpx.stream(self.command, address + self.path, content=body, headers=headers, timeout=60) as answer:
                if what == "after":
                    answer.read()
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                for name in ("Content-Type", "Retry-After"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()  # no length: it ends with the connection
                for chunk in answer.iter_raw():
                    self.wfile.write(chunk)
                    self.wfile.flush()

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server looks for these names

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def lost_answers(*methods: str, times: int = 1) -> Callable[[str, str, int], str | None]:
    return lambda method, path, number: "after" if method in methods and number <= times else None


# -- what it does -------------------------------------------------------------------------------------------------


def test_a_job_from_submit_to_result(client: JobsClient, stack: Stack) -> None:
    job = client.submit("add", 2, b=3, tags=["red", "green"], priority=7)
    assert type(job) is ClientJob and job.task == "add" and UUID(job.id).version == 7
    assert (job.args, job.kwargs, job.tags, job.priority) == ([2], {"b": 3}, ["red", "green"], 7)
    assert job.result(PATIENCE) == 5
    assert (job.state, job.is_ended, job.attempt, job.progress.percent) == ("SUCCESS", True, 1, 100)
    assert job.created_at.tzinfo and job.finished_at and job.finished_at >= job.created_at
    assert [attempt.state for attempt in job.history] == ["SUCCESS"]
    assert client.job(job.id).document == job.document
    assert repr(job) == f"<ClientJob {job.id} add SUCCESS>"


def test_options_arrive(client: JobsClient) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    job = client.submit("add", 1, 2, eta=due, expires=timedelta(days=1), queue="slow", max_retries=4, time_limit=30)
    assert (job.due_at, job.queue, job.max_retries, job.time_limit) == (due, "slow", 4, 30)
    assert job.expires_at and job.expires_at > due
    assert job.waiting_for == "due time"
    with pytest.raises(ValueError, match="no time zone"):
        client.submit("add", 1, 2, eta=datetime(2030, 1, 1))  # noqa: DTZ001 - that is what is refused
    assert client.cancel(job.id).state == "REVOKED"


def test_many_at_once(client: JobsClient) -> None:
    mine = str(uuid4())
    ids = client.submit_many([{"task": "add", "args": (n, 1), "tags": {"batch"}} for n in range(20)])
    assert len(set(ids)) == 20
    assert client.submit_many([{"task": "add", "kwargs": {"a": 1, "b": 1}, "task_id": mine}]) == [mine]
    assert [client.job(job_id).result(PATIENCE) for job_id in ids] == list(range(1, 21))
    with pytest.raises(Conflict) as refused:
        client.submit_many([{"task": "add", "args": [1, 1], "task_id": mine}])
    assert refused.value.errors == {"0": {"task_id": ["This id is taken."]}}


def test_lists_go_over_pages(client: JobsClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task_app.client.client.PAGE", 3)
    ids = client.submit_many([{"task": "add", "args": [n, 1], "tags": ["listed"]} for n in range(8)])
    found = list(client.jobs(tag="listed"))
    assert sorted(job.id for job in found) == sorted(ids)
    assert list(client.jobs(tag="listed", created_before=found[-1].created_at)) == []
    assert sum(client.counts().values()) >= 8
    add = next(each for each in client.task_types() if each.name == "add")
    assert add.schema["properties"]["a"]["type"] == "integer" and add.summary


def test_a_failure_is_raised_with_its_error(client: JobsClient) -> None:
    job = client.submit("probe.fail", "no good")
    with pytest.raises(JobFailed) as failed:
        job.result(PATIENCE)
    assert failed.value.type == "Refused" and "no good" in (failed.value.message or "")
    assert "Traceback" in (failed.value.traceback or "") and failed.value.job is job
    assert job.error and job.error.type == "Refused"
    again = job.retry(args=["worse"]).wait(PATIENCE)
    assert (again.attempt, again.args) == (2, ["worse"]) and again is job
    assert again.error and "worse" in (again.error.message or "")
    client.delete(job.id)
    with pytest.raises(NotFound):
        job.refresh()
    with pytest.raises(NotFound):
        client.delete(job.id)


def test_a_cancelled_job_is_raised_as_such(client: JobsClient) -> None:
    job = client.submit("probe.steps", 1000, 0.05)
    until(lambda: job.refresh().state == "PROGRESS", "progress")
    assert job.progress.total == 1000 and job.cancel().cancel_requested_at
    with pytest.raises(JobRevoked):
        job.result(PATIENCE)
    with pytest.raises(Conflict):
        job.cancel()


def test_a_wait_that_takes_too_long_says_why(client: JobsClient) -> None:
    job = client.submit("add", 1, 2, countdown=3600)
    began = time.monotonic()
    with pytest.raises(WaitTimeout) as late:
        job.wait(0.3)
    assert 0.3 <= time.monotonic() - began < 3
    assert issubclass(WaitTimeout, TimeoutError) and late.value.job is job
    assert str(late.value) == f"job {job.id} (add) is PENDING and waits for due time after 0.3 s"
    with pytest.raises(WaitTimeout):
        job.wait(0)


def test_events_are_followed_to_the_end(client: JobsClient) -> None:
    job = client.submit("probe.steps", 4, 0.3)
    seen = list(job.events())
    assert seen[-1].state == job.state == "SUCCESS"
    steps = [each.progress.current for each in seen if each.state == "PROGRESS"]
    assert steps == sorted(set(steps)) and len(steps) >= 2
    assert [each.state for each in job.events()] == ["SUCCESS"], "an ended job says so at once"


# -- what is refused ----------------------------------------------------------------------------------------------


def test_what_is_wrong_is_told_by_field(client: JobsClient) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.submit("add", "two", b=3)
    assert refused.value.status == 422
    assert refused.value.errors == {"args": {"0": ["Not a valid integer."]}}
    assert "Not a valid integer." in str(refused.value)
    with pytest.raises(InvalidRequest, match="no task of this name"):
        client.submit("nobody")
    with pytest.raises(NotFound):
        client.job("no/such?job")


def test_an_id_of_ones_own_is_used_once(client: JobsClient) -> None:
    mine = str(uuid4())
    assert client.submit("add", 1, 2, task_id=mine).id == mine
    with pytest.raises(Conflict):
        client.submit("add", 1, 2, task_id=mine)


def test_a_wrong_address_is_told_at_once() -> None:
    for wrong in ("localhost:5000", "ftp://localhost", "/tasks", "http://"):
        with pytest.raises(ValueError, match="address of a service"):
            JobsClient(wrong)
    before = time.monotonic()
    with (
        JobsClient(f"http://user:secret@127.0.0.1:{free_port()}", retries=1) as client,
        pytest.raises(NoAnswer) as away,
    ):
        client.counts()
    assert time.monotonic() - before < 5 and "secret" not in str(away.value)


def test_what_is_not_the_service_is_told(stack: Stack, address: str) -> None:
    with JobsClient(f"{address}/docs/") as client, pytest.raises(JobsError):
        client.counts()


def test_a_key_is_sent(stack: Stack, address: str) -> None:
    locked = stack.start_web(FLASK_AUTH="required")
    with JobsClient(locked) as nobody, pytest.raises(NotAllowed) as refused:
        nobody.submit("add", 1, 2)
    assert refused.value.status == 401
    with JobsClient(locked, "wrong key") as wrong, pytest.raises(NotAllowed):
        wrong.counts()
    with stack.app.app_context():
        _, key = keys.create("client", Role.OPERATOR)
    with JobsClient(locked, key) as allowed:
        job = allowed.submit("add", 1, 2)
        assert [each.id for each in job.events()][-1] == job.id and job.result(PATIENCE) == 3
        with pytest.raises(NotAllowed) as forbidden:
            allowed.delete(job.id)
        assert forbidden.value.status == 403


# -- a network that breaks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["before", "after", 502, 503, 504, 429])
def test_a_submit_that_has_to_be_sent_again_makes_one_job(stack: Stack, address: str, how: str | int) -> None:
    tag = f"once-{how}"
    with between(address, lambda method, path, number: how if number <= 2 else None) as url, JobsClient(url) as client:
        job = client.submit("add", 1, 2, tags=[tag])
        assert job.result(PATIENCE) == 3
        assert [each.id for each in client.jobs(tag=tag)] == [job.id]


def test_a_batch_whose_answer_is_lost_is_accepted_once(address: str) -> None:
    with between(address, lost_answers("POST")) as url, JobsClient(url) as client:
        ids = client.submit_many([{"task": "add", "args": [n, n], "tags": ["lost batch"]} for n in range(3)])
        assert sorted(job.id for job in client.jobs(tag="lost batch")) == sorted(ids)


def test_a_lost_answer_does_not_make_the_job_of_another_mine(client: JobsClient, address: str) -> None:
    taken = client.submit("probe.echo", 1).id
    with (
        between(address, lambda method, path, number: "before" if number == 1 else None) as url,
        JobsClient(url) as other,
    ):
        with pytest.raises(Conflict):
            other.submit("add", 1, 2, task_id=taken)
        with pytest.raises(Conflict):
            other.submit_many(
                [{"task": "add", "args": [1, 2]}, {"task": "add", "args": [1, 2], "task_id": taken}][::-1]
            )


def test_a_retry_whose_answer_is_lost_makes_one_attempt(client: JobsClient, address: str) -> None:
    job = client.submit("probe.fail").wait(PATIENCE)

    def meddle(method: str, path: str, number: int) -> str | None:
        if method != "POST" or number > 1:
            return None
        return "after"

    with between(address, meddle) as url, JobsClient(url) as lossy:
        again = lossy.retry(job.id)
        assert again.attempt == 2
        assert again.wait(PATIENCE).attempt == 2
    client.retry(job.id).wait(PATIENCE)
    with pytest.raises(Conflict, match="at attempt 3"):
        job.retry()
    assert job.attempt == 3, "it knows better now"
    assert job.retry().attempt == 4


def test_a_cancel_and_a_delete_whose_answers_are_lost_are_done(client: JobsClient, address: str) -> None:
    waiting = client.submit("add", 1, 2, countdown=3600)
    with between(address, lost_answers("POST", "DELETE", times=2)) as url, JobsClient(url) as lossy:
        assert lossy.cancel(waiting.id).state == "REVOKED"
        lossy.delete(waiting.id)
    with pytest.raises(NotFound):
        client.job(waiting.id)
    ended = client.submit("add", 1, 2).wait(PATIENCE)
    with between(address, lost_answers("POST")) as url, JobsClient(url) as lossy, pytest.raises(Conflict):
        lossy.cancel(ended.id)


def test_a_server_that_stays_away_is_given_up_and_one_that_asks_for_too_much(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "FIRST_PAUSE", 0.01)
    tries: list[int] = []

    def busy(method: str, path: str, number: int) -> int:
        tries.append(number)
        return 503

    with between(address, busy) as url, JobsClient(url, retries=3) as client, pytest.raises(Unavailable) as refused:
        client.counts()
    assert (tries, refused.value.status) == ([1, 2, 3, 4], 503)


def test_a_wait_outlives_a_network_that_is_cut(client: JobsClient, network: Proxy, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with JobsClient(f"http://127.0.0.1:{network.port}") as remote, ThreadPoolExecutor(1) as waiter:
        job = remote.submit("probe.until_told", str(told))
        end = waiter.submit(job.result, PATIENCE)
        until(lambda: client.job(job.id).state == "STARTED", "its start")
        network.refuse()
        network.cut()
        told.with_name("told-1").touch()
        until(lambda: client.job(job.id).is_ended, "its end")
        assert not end.done()
        network.refuse(False)
        assert end.result() == 1


def test_events_go_on_after_a_cut_where_they_were(client: JobsClient, network: Proxy, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with JobsClient(f"http://127.0.0.1:{network.port}") as remote:
        job = remote.submit("probe.until_told", str(told), queue="quick")
        events = job.events()
        seen = [next(events)]
        while seen[-1].state != "STARTED":
            seen.append(next(events))
        network.cut()
        later = threading.Timer(2.0, told.with_name("told-1").touch)  # by then it has connected anew
        later.start()
        rest = list(events)
        later.join()
    assert [each.state for each in rest] == ["SUCCESS"], "what was seen is not sent again"


def test_a_stream_that_is_dead_without_a_word_is_opened_anew(
    client: JobsClient, network: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "SILENCE", 6.0)
    told = tmp_path / "told"
    with JobsClient(f"http://127.0.0.1:{network.port}") as remote:
        job = remote.submit("probe.until_told", str(told))
        events = job.events()
        while next(events).state != "STARTED":
            pass
        network.freeze()
        began = time.monotonic()
        told.with_name("told-1").touch()
        assert [each.state for each in events] == ["SUCCESS"]
        assert time.monotonic() - began < 30


def test_waits_and_events_end_when_a_service_stays_away(network: Proxy) -> None:
    with JobsClient(f"http://127.0.0.1:{network.port}", patience=0.5) as remote:
        job = remote.submit("add", 1, 2, countdown=3600)
        network.refuse()
        network.cut()
        with pytest.raises(NoAnswer):
            list(job.events())
        with pytest.raises(NoAnswer):
            job.wait()
        began = time.monotonic()
        with pytest.raises(WaitTimeout):
            job.wait(0.2)
        assert time.monotonic() - began < 5


def test_a_job_that_is_deleted_ends_its_events(client: JobsClient) -> None:
    job = client.submit("add", 1, 2, countdown=3600)
    events = job.events()
    next(events)
    client.cancel(job.id)
    rest = list(events)
    assert [each.state for each in rest] == ["REVOKED"]
    client.delete(job.id)
    with pytest.raises(NotFound):
        next(job.events())


def test_a_job_is_accepted_while_the_broker_is_away(stack: Stack) -> None:
    lonely = stack.start_web(CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0", FLASK_DISPATCH_GRACE="60")
    with JobsClient(lonely) as client:
        job = client.submit("add", 1, 2, queue="elsewhere")
        assert (job.state, job.waiting_for) == ("PENDING", "broker")
        with pytest.raises(WaitTimeout, match=r"waits for (broker|worker)"):  # the worker here has another broker
            job.wait(0.2)


def test_where_nobody_may_watch_a_wait_looks_now_and_then(stack: Stack) -> None:
    crowded = stack.start_web("tests.acceptance.web:app", FLASK_WATCH_LIMIT="0", FLASK_WAIT_LIMIT="0")
    requests: list[str] = []

    def note(method: str, path: str, number: int) -> None:
        requests.append(path)

    with between(crowded, note) as url, JobsClient(url, patience=1) as client:
        assert client.submit("probe.sleep", 3).result(PATIENCE) == "slept"
        assert len(requests) < 12
        with pytest.raises(Unavailable, match="watching"):
            list(client.submit("add", 1, 2, countdown=60).events())


def test_many_threads_share_a_client(client: JobsClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: client.submit("add", n, n).result(PATIENCE), range(24))) == [
            2 * n for n in range(24)
        ]
    assert is_final(next(client.jobs(task="add")).state)
