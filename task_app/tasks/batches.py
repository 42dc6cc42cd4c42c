"""Many items in one job: split into chunks that run side by side, and one result at the end.

`process_batch` puts a chord in its place, so the job that was asked for waits for its chunks, shows how many of them
have ended, and ends with the merged result (as `merge_chunks`, the task that runs last). A chunk that fails makes it
fail; a cancel takes along the chunks that nobody has started. To copy it, replace `work_on` and `merge`.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from celery import Task, chord, shared_task
from marshmallow.validate import Length, Range

from ..mirror.progress import report_progress

#: More would only make the chunks' own cost larger than their work; they get larger instead.
CHUNKS = 500

Items = Annotated[
    list[Annotated[float, Range(min=-1e12, max=1e12)]], Length(max=10_000), "The numbers to work on, small as they are."
]
Pause = Annotated[float, Range(min=0, max=60)]


class Summary(TypedDict):
    """What is known of a chunk, or of all of them."""

    count: int
    total: float
    least: float | None
    greatest: float | None


@shared_task(bind=True)
def process_batch(
    self: Task,
    items: Items,
    chunk_size: Annotated[int, Range(min=1, max=1000), "How many items a chunk has."] = 100,
    seconds_per_item: Pause = 0,
) -> Any:
    """Work on many numbers in chunks, side by side, and put the results together."""
    chunks = split(items, chunk_size)
    if not chunks:
        return merge([])
    raise self.replace(chord([process_chunk.s(chunk, seconds_per_item) for chunk in chunks], merge_chunks.s()))


@shared_task(public=False)
def process_chunk(items: list[float], seconds_per_item: float = 0) -> Summary:
    """Work on one chunk of a batch."""
    done = []
    for number, item in enumerate(items, start=1):
        done.append(work_on(item, seconds_per_item))
        report_progress(number, len(items))
    return {"count": len(done), "total": sum(done), "least": min(done), "greatest": max(done)}


@shared_task(public=False)
def merge_chunks(parts: list[Summary]) -> Summary:
    """Put the results of all chunks together."""
    return merge(parts)


def split(items: Sequence[float], size: int) -> list[list[float]]:
    """Cut items into chunks of this size, or of a larger one where there would be too many chunks."""
    size = max(size, -(-len(items) // CHUNKS))
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def work_on(item: float, seconds: float) -> float:
    """Do what is to be done to an item. Replace this."""
    time.sleep(seconds)
    return item


def merge(parts: Sequence[Summary]) -> Summary:
    """Make one summary of several."""
    return {
        "count": sum(part["count"] for part in parts),
        "total": sum(part["total"] for part in parts),
        "least": min((part["least"] for part in parts if part["least"] is not None), default=None),
        "greatest": max((part["greatest"] for part in parts if part["greatest"] is not None), default=None),
    }
