"""The embedded broker: real server processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from kombu import Connection

from task_app import embedded
from task_app.errors import ConfigurationError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no embedded broker on Windows")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "instance"
    folder.mkdir()
    yield str(folder)
    embedded.stop(str(folder))


def pid_of(instance: str) -> int:
    status = embedded.status(instance)
    assert status is not None
    return status.pid


def put(instance: str, message: str) -> None:
    with Connection(embedded.broker_url(instance)) as connection:
        connection.SimpleQueue("letters").put(message)


def get(instance: str) -> object:
    with Connection(embedded.broker_url(instance)) as connection:
        return connection.SimpleQueue("letters").get(timeout=1).payload


def test_celery_can_talk_to_it(instance: str) -> None:
    embedded.ensure_running(instance)
    put(instance, "hello")
    assert get(instance) == "hello"


STARTER = """
import sys
from task_app import embedded
print("ready", flush=True)
sys.stdin.readline()
embedded.ensure_running(sys.argv[1])
print(embedded.status(sys.argv[1]).pid)
"""


def test_processes_that_come_at_the_same_time_start_one_server(instance: str) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, instance], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    pids = {starter.communicate(timeout=60)[0] for starter in starters}
    assert pids == {f"{pid_of(instance)}\n"}


def test_it_outlives_the_process_that_started_it_and_is_no_child_of_it(instance: str) -> None:
    embedded.ensure_running(instance)
    server = pid_of(instance)
    assert os.getpgid(server) != os.getpgid(0)
    with pytest.raises(ChildProcessError):
        os.waitpid(server, os.WNOHANG)


def test_messages_survive_a_stop(instance: str) -> None:
    embedded.ensure_running(instance)
    put(instance, "kept")
    embedded.stop(instance)
    assert embedded.status(instance) is None
    embedded.ensure_running(instance)
    assert get(instance) == "kept"


def test_stopping_what_does_not_run_does_nothing(instance: str) -> None:
    embedded.stop(instance)


def test_it_starts_again_after_a_kill(instance: str) -> None:
    embedded.ensure_running(instance)
    killed = pid_of(instance)
    os.kill(killed, signal.SIGKILL)
    embedded.ensure_running(instance)
    assert pid_of(instance) != killed


def test_a_server_whose_socket_was_removed_is_replaced(instance: str) -> None:
    embedded.ensure_running(instance)
    lost = pid_of(instance)
    socket_of(instance).unlink()
    embedded.ensure_running(instance)
    assert pid_of(instance) != lost
    assert ends(lost)


@pytest.mark.parametrize("damage", [b"*3\r\n$3\r\nSE", b"this was never a command\r\n" * 3])
def test_a_damaged_append_only_file_does_not_stop_the_start(instance: str, damage: bytes) -> None:
    embedded.ensure_running(instance)
    put(instance, "maybe lost")
    os.kill(pid_of(instance), signal.SIGKILL)
    (increment,) = Path(instance, "broker", "appendonlydir").glob("*.incr.aof")
    with increment.open("ab") as file:
        file.write(damage)
    embedded.ensure_running(instance)
    assert embedded.status(instance)


def test_only_its_owner_can_reach_it(instance: str) -> None:
    embedded.ensure_running(instance)
    assert socket_of(instance).stat().st_mode & 0o777 == 0o700
    with embedded._Home(instance).client() as client:
        assert client.config_get("port") in ({"port": "0"}, {b"port": b"0"})


def test_a_deep_instance_folder_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e e" * 20) / "instance"
    deep.mkdir(parents=True)
    assert len(embedded.broker_url(str(deep))) < 100
    try:
        embedded.ensure_running(str(deep))
        put(str(deep), "hello")
        assert get(str(deep)) == "hello"
        assert socket_of(str(deep)).parent.stat().st_mode & 0o777 == 0o700
    finally:
        embedded.stop(str(deep))


def test_a_folder_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    refuge = socket_of(str(deep)).parent
    refuge.mkdir(mode=0o777)
    refuge.chmod(0o777)
    try:
        with pytest.raises(ConfigurationError, match="isn't a private folder"):
            embedded.ensure_running(str(deep))
    finally:
        refuge.rmdir()


def test_an_instance_folder_with_odd_letters(tmp_path: Path) -> None:
    odd = tmp_path / "a b%c#d?é"
    odd.mkdir()
    try:
        embedded.ensure_running(str(odd))
        put(str(odd), "hello")
        assert get(str(odd)) == "hello"
    finally:
        embedded.stop(str(odd))


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"^CELERY_BROKER_URL: the embedded broker can't be started: .*$"):
        embedded.ensure_running(str(tmp_path / "file"))


def ends(pid: int) -> bool:
    """Wait for the system to be rid of a process that is no child of ours."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def socket_of(instance: str) -> Path:
    return Path(unquote(embedded.broker_url(instance).removeprefix("redis+socket://").partition("?")[0]))
