"""Families as Celery's canvas really makes them: while they wait, and when they have ended."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery import chain, chord, group

from task_app.jobs import service
from task_app.jobs.family import Family

from .stack import Stack

WAIT = 60
LATER = 3600

Named = Callable[[str], Any]
#: Canvas → its edges: "a>b" sent, "a-b" then, "a+b" part of the chord with this body.
SHAPES: dict[str, tuple[Callable[[Named], Any], str]] = {
    "chain": (lambda t: chain(t("a"), t("b"), t("c")), "a-b b-c"),
    "group": (lambda t: group(t("a"), t("b"), t("c")), ""),
    "chord": (lambda t: chord([t("a"), t("b")], t("z")), "a+z b+z"),
    "chord whose body is a chain": (lambda t: chain(group(t("a"), t("b")), t("y"), t("z")), "a+y b+y y-z"),
    "chord in a chain": (lambda t: chain(t("a"), group(t("b"), t("c")), t("z")), "a-b a-c b+z c+z"),
    "chord of chains": (lambda t: chord([chain(t("a"), t("b")), t("c")], t("z")), "a-b b+z c+z"),
}
SIGNS = {"sent": ">", "then": "-", "part": "+"}


def canvas(pair: Stack, shape: str, countdown: float) -> tuple[str, Any]:
    """Send a canvas whose jobs have names that begin with the text returned."""
    prefix = uuid.uuid4().hex
    echo = pair.task("probe.echo")

    def named(letter: str) -> Any:
        first = {"countdown": countdown} if letter in "abc" else {}
        return echo.si(letter).set(task_id=f"{prefix}-{letter}", **first)

    return prefix, SHAPES[shape][0](named).apply_async()


def family_of(pair: Stack, job_id: str) -> Family:
    with pair.app.app_context():
        return service.family(job_id)


def edges_of(found: Family) -> str:
    """Write the edges by the letters of the jobs."""
    return " ".join(sorted(f"{edge.source[-1]}{SIGNS[edge.kind]}{edge.target[-1]}" for edge in found.edges))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_family_that_has_ended_is_seen_from_each_member(pair: Stack, shape: str) -> None:
    prefix, result = canvas(pair, shape, 0)
    result.get(timeout=WAIT)
    letters = sorted({letter for letter in SHAPES[shape][1] if letter.isalpha()} or set("abc"))
    for letter in letters:
        pair.until_ended(f"{prefix}-{letter}")
    for letter in letters:
        found = family_of(pair, f"{prefix}-{letter}")
        assert sorted(node.id[-1] for node in found.nodes) == letters, f"seen from {letter}"
        assert edges_of(found) == SHAPES[shape][1], f"seen from {letter}"
        assert not found.is_cut
    if "z" in letters:
        assert found.freed_at(f"{prefix}-z") is not None


@pytest.mark.parametrize("shape", ["chain", "group", "chord", "chord of chains"])
def test_a_family_that_waits_looks_the_same(pair: Stack, shape: str) -> None:
    prefix, _ = canvas(pair, shape, LATER)
    for letter in {letter for letter in SHAPES[shape][1] if letter.isalpha()} or set("abc"):
        found = family_of(pair, f"{prefix}-{letter}")
        assert edges_of(found) == SHAPES[shape][1], f"seen from {letter}"
        assert found.freed_at(f"{prefix}-{letter}") is None
    assert all(len(parts) > 1 for parts in found.groups.values()) and (found.groups or shape == "chain")
    with pair.app.app_context():
        service.cancel(f"{prefix}-a")


def test_what_a_job_sends_are_its_children(pair: Stack) -> None:
    result = pair.task("probe.family").delay(0, 0)
    result.get(timeout=WAIT)
    found = family_of(pair, result.id)
    kinds = [edge.kind.value for edge in found.edges]
    assert (sorted(kinds), len(found.nodes)) == (["sent"] * 4 + ["then"], 6)
    assert {edge.source for edge in found.edges if edge.kind.value == "sent"} == {result.id}
    assert [len(parts) for parts in found.groups.values()] == [2]
