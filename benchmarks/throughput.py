"""Jobs per second: the queue is filled, then the workers start, and the time between jobs is taken."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from flask_migrate import upgrade

from task_app import create_app
from tests.chaos.servers import server

from . import ticks
from .contestants import Contestant

#: The share of jobs after which the clock starts: until then processes start and warm up.
WARM_UP = 0.2
PATIENCE = 300.0  # seconds until a round is given up


class Throughput(NamedTuple):
    """What a round found."""

    rate: float  # jobs per second
    cpu: float  # milliseconds a job, all processes of the workers
    servers: float  # milliseconds a job, PostgreSQL and Redis
    memory: float  # MB, unique to all processes of the workers


class RoundFailed(RuntimeError):
    """A contestant did not do its jobs; the message holds what its workers printed."""


class Arena(NamedTuple):
    """Servers and folders of one round."""

    folder: Path
    redis_url: str
    sql_url: str
    servers: tuple[int, ...] = ()  # process ids

    @property
    def ticks(self) -> Path:
        """Where tasks say that they ran."""
        return self.folder / "ticks"

    def variables(self, contestant: Contestant) -> dict[str, str]:
        """Return the environment of a contestant's processes."""
        return contestant.variables(self.redis_url, self.sql_url, self.ticks, self.folder)

    def run(self, contestant: Contestant, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a process of a contestant; its output goes into the folder."""
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [part.format(redis=self.redis_url) for part in command],
                cwd=contestant.folder,
                env=self.variables(contestant),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        """Return the end of what all processes have printed."""
        return (self.folder / "output").read_text(errors="replace")[-3000:]


@contextmanager
def arena(contestant: Contestant) -> Iterator[Arena]:
    """Yield fresh servers, with the schema where it is ours."""
    with server("postgresql") as sql, server("redis") as redis, tempfile.TemporaryDirectory() as folder:
        place = Arena(Path(folder), redis.url, sql.url, (*sql.pids, *redis.pids))
        if contestant.ours:
            settings = {"INSTANCE_PATH": folder, "SECRET_KEY": "benchmark", "SQLALCHEMY_DATABASE_URI": sql.url}
            with create_app({**settings, "CELERY_BROKER_URL": redis.url}).app_context():
                upgrade()
        yield place


@contextmanager
def working(place: Arena, contestant: Contestant) -> Iterator[list[psutil.Process]]:
    """Start a contestant's workers; yields them, and ends them with all they have started."""
    started = [place.run(contestant, command) for command in contestant.work()]
    heads = [psutil.Process(process.pid) for process in started]
    try:
        yield heads
    finally:
        for member in family(heads):
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        for process in started:
            process.wait()


def family(heads: list[psutil.Process]) -> list[psutil.Process]:
    """Return processes and all they have started."""
    members = list(heads)
    for head in heads:
        try:
            members += head.children(recursive=True)
        except psutil.NoSuchProcess:
            continue
    return members


def run_round(contestant: Contestant, workload: str, number: int) -> Throughput:
    """Let a contestant do that many jobs on servers of its own. Raises RoundFailed."""
    with arena(contestant) as place:
        return run_round_in(place, contestant, workload, number)


def run_round_in(place: Arena, contestant: Contestant, workload: str, number: int) -> Throughput:
    """Let a contestant do that many jobs on these servers. Raises RoundFailed."""
    filled = place.run(contestant, contestant.submit(workload, number)).wait()
    if filled != 0:
        raise RoundFailed(f"{contestant.name} could not be filled:\n{place.output()}")
    servers = [psutil.Process(pid) for pid in place.servers]
    with working(place, contestant) as heads:
        _wait_for(place, heads, int(number * WARM_UP), contestant)
        spent, spent_by_servers = _cpu(heads), _cpu(servers)
        _wait_for(place, heads, number, contestant)
        used, used_by_servers, memory = _cpu(heads) - spent, _cpu(servers) - spent_by_servers, _memory(heads)
    done = number - int(number * WARM_UP)
    moments = ticks.read(str(place.ticks))
    seconds = (moments[number - 1] - moments[number - done - 1]) / 1e9
    return Throughput(done / seconds, 1000 * used / done, 1000 * used_by_servers / done, memory)


def _wait_for(place: Arena, heads: list[psutil.Process], number: int, contestant: Contestant) -> None:
    deadline = time.monotonic() + PATIENCE
    while not place.ticks.exists() or place.ticks.stat().st_size < number * ticks.SIZE:
        if time.monotonic() > deadline or not any(head.is_running() for head in heads):
            raise RoundFailed(f"{contestant.name} stopped short of {number} jobs:\n{place.output()}")
        time.sleep(0.01)


def _cpu(heads: list[psutil.Process]) -> float:
    total = 0.0
    for member in family(heads):
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _memory(heads: list[psutil.Process]) -> float:
    total = 0
    for member in family(heads):
        try:
            total += member.memory_full_info().uss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 1e6
