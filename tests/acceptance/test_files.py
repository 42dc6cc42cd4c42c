"""Files with real web servers and workers, in a folder and on S3: uploads that break off, workers that are killed."""

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import select

from task_app.client import InvalidRequest, JobsClient, NotFound
from task_app.files.models import File
from task_app.jobs.runtime import runtime

from .stack import Stack, running, until

BUCKET = "files"
MIB = 2**20
HEAD = (
    "POST /files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    "Content-Length: {length}\r\n\r\n"
    '--x\r\nContent-Disposition: form-data; name="file"; filename="half.bin"\r\n\r\n'
)


class Kept:
    """A service with a worker and a web server, and what its store holds."""

    def __init__(self, stack: Stack, address: str, s3: str | None) -> None:
        self.stack, self.address, self.s3 = stack, address, s3

    def rows(self) -> list[str]:
        with self.stack.app.app_context(), runtime().engine.connect() as connection:
            return sorted(connection.execute(select(File.id)).scalars())

    def bytes(self) -> list[str]:
        if self.s3 is None:
            names = [path.name for path in Path(self.stack.folder, "files").rglob("*") if path.is_file()]
        else:
            listed = s3_client(self.s3).list_objects_v2(Bucket=BUCKET).get("Contents", [])
            names = [each["Key"].rpartition("/")[2] for each in listed]
            assert s3_client(self.s3).list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
        return sorted(f"file-{name}" for name in names)


def s3_client(endpoint: str):  # type: ignore[no-untyped-def]
    return boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x", region_name="eu")


@pytest.fixture(scope="module", params=["folder", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    settings, endpoint, server = {"FLASK_FILE_SIZE_LIMIT": str(100 * MIB)}, None, None
    if request.param == "s3":
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        s3_client(endpoint).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu"})
        settings |= {
            "FILES_URL": f"s3://{BUCKET}/some/prefix",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "eu",
        }
    with running(tmp_path_factory.mktemp("files"), "sqlite", "embedded", **settings) as stack:
        stack.start_worker()
        yield Kept(stack, stack.start_web("tests.acceptance.web:app"), endpoint)
    if server is not None:
        server.stop()


def test_a_file_goes_through_a_job_and_comes_back(kept: Kept, tmp_path: Path) -> None:
    content = os.urandom(12 * MIB) + b"end"  # several parts of an S3 upload
    (tmp_path / "in.bin").write_bytes(content)
    with JobsClient(kept.address) as client:
        sent = client.upload(tmp_path / "in.bin")
        assert (sent.name, sent.size, sent.sha256) == ("in.bin", len(content), hashlib.sha256(content).hexdigest())
        job = client.submit("probe.reverse", sent.id)
        made_id = job.result(timeout=60)
        (made,) = job.refresh().artefacts
        assert (made.id, made.name, made.size) == (made_id, "reversed.bin", len(content))
        assert client.download(made.id, tmp_path / "out.bin").read_bytes() == content[::-1]
        assert kept.rows() == kept.bytes() == sorted([sent.id, made.id])
        for file_id in (sent.id, made.id):
            client._transport.request("DELETE", f"files/{file_id}")
        assert job.refresh().artefacts == []
        with pytest.raises(NotFound):
            client.download(made.id, tmp_path / "nothing")
        assert not (tmp_path / "nothing").exists()
    assert kept.rows() == kept.bytes() == []


def test_an_upload_that_breaks_off_leaves_nothing(kept: Kept) -> None:
    for amount, announced in ((0, 50 * MIB), (20 * MIB, 50 * MIB), (20 * MIB, 20 * MIB + 10)):
        parts = urlsplit(kept.address)
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
            client.sendall(HEAD.format(length=announced).encode() + bytes(amount))
            if amount:
                until(kept.rows, "the row of the upload")
        until(lambda: not kept.rows() and not kept.bytes(), "what came of the upload to go")


HEAD_IN_CHUNKS, START = HEAD.replace("Content-Length: {length}", "Transfer-Encoding: chunked").split("\r\n\r\n", 1)
CHUNK = START.encode() + bytes(300_000)
BROKEN = {
    "too short for its length": HEAD.format(length=2000).encode() + b"hello\r\n--x--\r\n",
    "rubbish after the end": HEAD.format(length=len(START) + 40_009).encode() + b"\r\n--x--\r\n" + b"r" * 40_000,
    "no size of a chunk": f"{HEAD_IN_CHUNKS}\r\n\r\n{len(CHUNK):x}\r\n".encode() + CHUNK + b"\r\nQQ\r\n",
    "no end of a chunk": f"{HEAD_IN_CHUNKS}\r\n\r\n{len(CHUNK):x}\r\n".encode() + CHUNK + b"QQ\r\n",
    "no further chunk": f"{HEAD_IN_CHUNKS}\r\n\r\n{len(CHUNK):x}\r\n".encode() + CHUNK,
}


def status_of(kept: Kept, request: bytes) -> bytes:
    """Send the bytes of a request, and that no more will come; return the first line of the answer."""
    parts = urlsplit(kept.address)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").readline()


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_body_is_refused_and_leaves_nothing(kept: Kept, broken: bytes) -> None:
    assert status_of(kept, broken) == b"HTTP/1.1 400 BAD REQUEST\r\n"
    assert kept.rows() == kept.bytes() == []


def test_a_body_in_chunks_is_kept(kept: Kept) -> None:
    whole = BROKEN["no further chunk"] + b"\r\n9\r\n\r\n--x--\r\n\r\n0\r\n\r\n"
    assert status_of(kept, whole) == b"HTTP/1.1 201 CREATED\r\n"
    (stored,) = kept.rows()
    with JobsClient(kept.address) as client:
        client._transport.request("DELETE", f"files/{stored}")


def test_what_is_too_large_leaves_nothing(kept: Kept, tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as stream:
        stream.truncate(101 * MIB)
    with JobsClient(kept.address, retries=0) as client, pytest.raises(InvalidRequest) as refused:
        client.upload(tmp_path / "large.bin")
    assert refused.value.status == 413
    assert kept.rows() == kept.bytes() == []


def test_a_large_upload_takes_no_memory(kept: Kept, tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as stream:
        stream.truncate(95 * MIB)
    servers = [process for process in kept.stack.processes if "gunicorn" in psutil.Process(process.pid).cmdline()[2]]
    (server,) = [child for process in servers for child in psutil.Process(process.pid).children()]
    with JobsClient(kept.address, timeout=60) as client:
        small = client.upload(__file__)  # by then the server has loaded all that it needs
        client._transport.request("DELETE", f"files/{small.id}")
        before = server.memory_info().rss
        sent = client.upload(tmp_path / "large.bin")
        assert server.memory_info().rss - before < 60 * MIB
        client.download(sent.id, tmp_path / "back.bin")
        assert server.memory_info().rss - before < 60 * MIB
        assert (tmp_path / "back.bin").stat().st_size == 95 * MIB
        client._transport.request("DELETE", f"files/{sent.id}")


def test_a_worker_that_is_killed_after_saving_leaves_one_artefact(kept: Kept, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    victim = kept.stack.start_worker(name="victim", concurrency=1)
    first = next(
        process for process in kept.stack.processes if process is not victim and "celery" in _words(process.pid)
    )
    kept.stack.kill(first)
    with JobsClient(kept.address) as client:
        job = client.submit("probe.save_and_hang", str(gate))
        until(gate.exists, "the first attempt to save")
        assert [made.name for made in job.refresh().artefacts] == ["made.txt"]
        kept.stack.kill(victim)
        kept.stack.start_worker(name="next")
        assert job.result(timeout=60) == 2
        (made,) = job.refresh().artefacts
        assert client.download(made.id, tmp_path / "made").read_bytes() == b"attempt 2"
    until(lambda: kept.rows() == kept.bytes() == [made.id], "the first artefact to go")


def _words(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return []


def test_the_server_goes_on_after_all_that(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    begin = time.monotonic()
    with JobsClient(kept.address) as client:
        assert client.upload(tmp_path / "x").size == 1
    assert time.monotonic() - begin < 30
