"""What is stored of a text is the text again when it is read; what can't be read says so."""

import base64
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import DecodeError
from zstandard import ZstdCompressor

from task_app.errors import ValueUnreadable
from task_app.jobs import packing
from task_app.jobs.columns import PackedText
from task_app.jobs.models import Job
from task_app.jobs.packing import LARGEST, MARK, PACKED_FROM, Unreadable, load, opener, pack, show
from task_app.jobs.view import JobView
from task_app.mirror import codec

opened = opener("result")
#: Any text that UTF-8 can write, alone or after the mark, once or so often that it is long.
TEXTS = st.builds(
    lambda mark, text, times: mark + text * times,
    st.sampled_from(["", MARK, packing.PLAIN, f"{MARK}KLUv/"]),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.sampled_from([1, 2, 5000]),
)


@given(TEXTS)
def test_what_is_read_is_what_was_written(text: str) -> None:
    stored = pack(text)
    assert stored is not None and opened(stored) == text
    assert len(stored.encode()) <= len(text.encode()) + len(packing.PLAIN)


def test_nothing_stays_nothing() -> None:
    assert pack(None) is None and opened(None) is None


@pytest.mark.parametrize("letter", ["x", "ж", "𝔵"])
def test_a_text_is_packed_from_so_many_bytes_on(letter: str) -> None:
    length = PACKED_FROM // len(letter.encode())
    assert pack(letter * (length - 1)) == letter * (length - 1)
    packed = pack(letter * length)
    assert packed is not None and packed.startswith(MARK) and len(packed) < 100


def test_what_would_not_get_smaller_stays_as_it_is() -> None:
    text = base64.b64encode(random.Random(1).randbytes(PACKED_FROM)).decode()
    assert pack(text) == text


def test_what_would_be_too_large_to_open_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST", PACKED_FROM)
    assert pack("x" * (PACKED_FROM + 1)) == "x" * (PACKED_FROM + 1)
    assert pack("x" * PACKED_FROM) != "x" * PACKED_FROM


def frame(text: bytes, **options: Any) -> str:
    return MARK + base64.b64encode(ZstdCompressor(**options).compress(text)).decode()


WHOLE = frame(b"x" * PACKED_FROM, write_checksum=True)
DAMAGED = {
    "no base64": f"{MARK}Käse",
    "no frame": f"{MARK}{base64.b64encode(b'not a frame').decode()}",
    "cut off": WHOLE[: len(WHOLE) // 4 * 2],
    "another letter": WHOLE[:30] + ("A" if WHOLE[30] != "A" else "B") + WHOLE[31:],
    "more after it": f"{MARK}{base64.b64encode(base64.b64decode(WHOLE[len(MARK) :]) + b'more').decode()}",
    "no size": frame(b"x" * PACKED_FROM, write_content_size=False),
    "a bomb": frame(b"\0" * (LARGEST + 1)),
    "no UTF-8": frame(b"\xff" * PACKED_FROM),
}


@pytest.mark.parametrize("stored", DAMAGED.values(), ids=DAMAGED)
def test_what_can_not_be_opened_names_its_column(stored: str) -> None:
    found = opened(stored)
    assert isinstance(found, Unreadable)
    assert found.problem.startswith("the job's result can't be read from its row: ")
    assert show(found) == {"message": found.problem}
    with pytest.raises(ValueUnreadable, match="the job's result can't be read"):
        load(found)
    with pytest.raises(DecodeError, match="the job's result can't be read"):
        codec.loads(found)
    assert pack(found) == stored, "written back, nothing is lost"


def test_what_is_looked_for_is_never_packed() -> None:
    looked_for = Job.__table__.c.args.contains(MARK)
    assert not isinstance(looked_for.right.type, PackedText)


def test_a_view_shows_the_rest_of_a_damaged_row() -> None:
    texts = {name: opener(name)(DAMAGED["cut off"]) for name in ("args", "kwargs", "result", "error", "progress")}
    view = JobView.from_row({**dict.fromkeys(VIEW, None), **texts, "state": "FAILURE", "task": "add", "id": "x"})
    says = "the job's {} can't be read from its row: "
    assert view.args[0].startswith(says.format("args"))
    assert view.kwargs["message"].startswith(says.format("kwargs"))
    assert view.result["message"].startswith(says.format("result"))
    assert view.error is not None and view.error["message"].startswith(says.format("error"))
    assert view.progress["message"].startswith(says.format("progress"))


VIEW = ("queue", "priority", "attempt", "retries", "version", "created_at")
