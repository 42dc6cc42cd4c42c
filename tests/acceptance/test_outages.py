"""Brokers and databases that are away, slow, empty or deaf; on servers of the test's own."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.engine import make_url

from task_app.jobs import service
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission

from .. import services
from ..chaos.proxy import Proxy
from ..chaos.servers import Broker, Server, server
from .stack import Stack, running_on, until

EACH_BROKER = pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
EACH_DATABASE = pytest.mark.parametrize("kind", ["postgresql", "mariadb"])


@contextmanager
def stack_with(
    folder: Path, *, broker: str | None = None, database: str = "sqlite", **settings: str
) -> Iterator[tuple[Stack, Any]]:
    """Yield a stack, and the broker or database server that is its own."""
    with ExitStack() as exits:
        if broker is not None:
            own: Server = exits.enter_context(server(broker))
            url = exits.enter_context(services.fresh_database(database, folder))
            stack = exits.enter_context(running_on(folder, url, own.url, **settings))
        else:
            own = exits.enter_context(server(database))
            broker_url, _ = exits.enter_context(services.fresh_queue("redis"))
            stack = exits.enter_context(running_on(folder, own.url, broker_url, **settings))
        yield stack, own


@EACH_BROKER
@pytest.mark.parametrize("fault", ["freeze", "kill"])
def test_submits_are_answered_and_kept_whatever_the_broker_does(tmp_path: Path, kind: str, fault: str) -> None:
    with stack_with(tmp_path, broker=kind) as (stack, broker):
        address = start_web(stack)
        stack.start_worker()
        assert post(address)["waiting_for"] == "worker"
        broker.freeze() if fault == "freeze" else broker.kill()
        submits_are_kept(stack, address)
        broker.thaw() if fault == "freeze" else broker.start()
        back = time.monotonic()
        until(lambda: waiting_for_the_broker(stack) == 0, "everything to be published")
        assert time.monotonic() - back < 5
        until(lambda: set(stack.counts()) == {"SUCCESS"}, "everything to end")


@EACH_BROKER
def test_submits_are_kept_while_something_accepts_and_never_answers(tmp_path: Path, kind: str) -> None:
    with stack_with(tmp_path, broker=kind) as (stack, broker), proxy_to(broker) as network:
        stack.environment["CELERY_BROKER_URL"] = through(network, broker)
        network.blackhole()
        submits_are_kept(stack, start_web(stack))


def submits_are_kept(stack: Stack, address: str) -> None:
    """Submit for a while: each is answered within a second, and hardly one pays for finding out."""
    for _ in range(3):
        times, answers = zip(*(timed(post, address) for _ in range(10)), strict=True)
        assert max(times) < 1.0 and sorted(times)[-2] < 0.25, times
        assert {answer["waiting_for"] for answer in answers} == {"broker"}
    took, result = timed(stack.task("add").delay, 1, 1)
    took_next, _ = timed(stack.task("add").delay, 1, 1)
    assert took < 1.0 and took_next < 0.25
    assert stack.job(result.id).state == "PENDING"


@EACH_BROKER
def test_an_outage_is_made_up_for_by_priority_and_age_at_a_bounded_rate(tmp_path: Path, kind: str) -> None:
    with stack_with(tmp_path, broker=kind, FLASK_DISPATCH_RATE="200") as (stack, broker):
        broker.kill()
        ids = [(n % 3, stack.task("add").apply_async((n, n), priority=n % 3).id) for n in range(800)]
        stack.start("flask", "--app", "make_celery:flask_app", "maintenance", "run")
        until(lambda: any(worker.pool == "maintenance" for worker in stack.workers()), "maintenance")
        broker.start()
        back = time.monotonic()
        until(lambda: waiting_for_the_broker(stack) < 800, "publishing to begin")
        assert time.monotonic() - back < 5
        until(lambda: waiting_for_the_broker(stack) == 0, "everything to be published")
        published = sorted((cast("Any", stack.job(job_id).published_at), -priority) for priority, job_id in ids)
        batches = [key for _, key in published]
        # The first message only finds out whether the broker is back.
        assert batches[1:] == sorted(batches[1:])
        # Batches of 200 start a second apart, however long each takes.
        assert published[-1][0] - published[0][0] >= timedelta(seconds=2)


@EACH_BROKER
def test_a_broker_that_lost_its_memory_loses_no_job(tmp_path: Path, kind: str) -> None:
    ledger = tmp_path / "ledger"
    with stack_with(tmp_path, broker=kind, database="postgresql") as (stack, broker):
        with stack.app.app_context():
            args = [json.dumps([str(ledger), str(n)]) for n in range(1000)]
            service.submit_many([Submission(task="probe.ledger", args=text, queue=stack.queue) for text in args])
        stack.start_worker()
        until(lambda: stack.counts().get("SUCCESS", 0) > 20, "the first of a thousand jobs")
        broker.empty()
        emptied = time.monotonic()
        # New messages keep coming, so the queue is never seen empty.
        later = [stack.task("add").apply_async((n, n)) for n in range(20)]
        until(lambda: stack.counts() == {"SUCCESS": 1020}, "all to end", 60)
        assert time.monotonic() - emptied < 60
        assert sorted(ledger.read_text().split(), key=int) == [str(n) for n in range(1000)]
        assert {stack.job(result.id).attempt for result in later} == {1}
        broker.restart_empty()
        assert stack.until_ended(stack.task("add").delay(1, 1).id).result == 2


@EACH_BROKER
def test_nothing_is_published_again_while_a_queue_is_merely_long(tmp_path: Path, kind: str) -> None:
    with stack_with(tmp_path, broker=kind, database="postgresql") as (stack, _):
        stack.start_worker(concurrency=1)
        results = [stack.task("probe.steps").delay(1, 0.1) for _ in range(120)]  # takes 12 s; messages are old after 2
        urgent = [stack.task("add").apply_async((1, 1), priority=9, countdown=n / 4) for n in range(40)]
        for result in results + urgent:
            stack.until_ended(result.id)
        # Not `dropped`: a broker that is slow to confirm gets a message again from who sends it, and that is no loss.
        assert [worker.services["rescuer"]["total"] for worker in stack.workers()] == [0]


@EACH_BROKER
def test_a_worker_consumes_again_soon_after_a_broker_restart(tmp_path: Path, kind: str) -> None:
    with stack_with(tmp_path, broker=kind) as (stack, broker):
        stack.start_worker()
        stack.until_ended(stack.task("add").delay(1, 1).id)
        broker.kill()
        result = stack.task("add").delay(2, 2)
        until(lambda: stack.output().count("onnect") > 3, "the worker to have tried in vain")
        broker.start()
        back = time.monotonic()
        assert stack.until_ended(result.id).result == 4
        assert time.monotonic() - back < 10


@pytest.mark.parametrize(("kind", "pool"), [("redis", "prefork"), ("rabbitmq", "threads")])
def test_a_worker_that_hears_nothing_connects_anew(tmp_path: Path, kind: str, pool: str) -> None:
    with stack_with(tmp_path, broker=kind) as (stack, broker), proxy_to(broker) as network:
        stack.environment["CELERY_BROKER_URL"] = through(network, broker)  # the worker's way; this process has its own
        stack.start_worker("--pool", pool)
        stack.until_ended(stack.task("add").delay(1, 1).id)
        busy = stack.task("probe.sleep").delay(60)  # one of two places; the other has room
        stack.until_state(busy.id, "STARTED")
        network.freeze()  # established connections carry nothing and do not break; new ones work
        result = stack.task("add").delay(2, 2)
        until(lambda: "the consumer is restarted" in stack.output(), "the watchdog", 15)
        # How soon the job is heard of depends on the broker too: it may go on sending to the dead connection.
        assert stack.until_ended(result.id).result == 4


@EACH_DATABASE
def test_an_outage_of_the_database_is_waited_for(tmp_path: Path, kind: str) -> None:
    with stack_with(tmp_path, database=kind) as (stack, database):
        address = start_web(stack)
        worker = stack.start_worker(concurrency=2)
        ends_meanwhile, runs_on = stack.task("probe.sleep").delay(2), stack.task("probe.steps").delay(160, 0.05)
        stack.until_state(ends_meanwhile.id, "STARTED")
        stack.until_state(runs_on.id, "PROGRESS")
        queued = [stack.task("add").delay(n, n) for n in range(10)]
        database.kill()
        down = time.monotonic()
        answer = None
        while time.monotonic() - down < 6:  # longer than WORKER_TIMEOUT: every heartbeat is old afterwards
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(address)
            answer = refused.value
            assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
            answer.close()
        assert answer is not None and worker.poll() is None
        database.start()
        with stack.app.app_context():
            runtime().engine.dispose()  # this process, a mere onlooker, has connections of before
        jobs = [stack.until_ended(result.id) for result in (ends_meanwhile, runs_on, *queued)]
        assert [(job.state, job.attempt) for job in jobs] == [("SUCCESS", 1)] * 12
        until(lambda: accepts(address), "the API to accept jobs again")


def start_web(stack: Stack) -> str:
    """Start the web server and wait until the app is there, not only the port."""
    address = stack.start_web()
    with urllib.request.urlopen(f"{address}/healthz") as answer:
        assert answer.status == 200
    return address


def post(address: str) -> dict[str, Any]:
    """Submit a job over HTTP."""
    body = json.dumps({"task": "add", "args": [1, 1]}).encode()
    request = urllib.request.Request(f"{address}/tasks", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 202
        answered: dict[str, Any] = json.load(answer)
        return answered


def accepts(address: str) -> bool:
    """Say whether a submit over HTTP is accepted."""
    try:
        post(address)
    except urllib.error.HTTPError as refused:
        refused.close()
        return False
    return True


def timed(call: Any, *args: Any) -> tuple[float, Any]:
    """Return how many seconds a call took, and what it returned."""
    begin = time.monotonic()
    value = call(*args)
    return time.monotonic() - begin, value


def waiting_for_the_broker(stack: Stack) -> int:
    """Count the jobs that are due and not on the broker."""
    with stack.app.app_context(), runtime().engine.connect() as connection:
        statement = "SELECT count(*) FROM job WHERE dispatch_at IS NOT NULL"
        return int(connection.exec_driver_sql(statement).scalar_one())


@contextmanager
def proxy_to(broker: Broker) -> Iterator[Proxy]:
    """Yield a network to the broker that can be broken."""
    url = make_url(broker.url)
    network = Proxy(str(url.host), int(url.port or 0))
    network.start()
    try:
        yield network
    finally:
        network.close()


def through(network: Proxy, broker: Broker) -> str:
    """Return the broker's URL by way of that network."""
    return make_url(broker.url).set(port=network.port).render_as_string(hide_password=False)
