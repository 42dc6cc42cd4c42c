"""Relatives of a job are found as far as there is room, the nearest first. The acceptance tests have real canvas."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, event

from task_app.jobs import transitions
from task_app.jobs.family import Edge, Family, Kind, family
from task_app.jobs.states import State

from ..factories import insert_job, job_row

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def of(connection: Connection, job_id: str, limit: int = 200) -> Family:
    found = family(connection, job_id, limit)
    assert found is not None
    assert len(found.nodes) <= limit
    return found


def test_a_tree_is_seen_from_anywhere(connection: Connection) -> None:
    root = insert_job(connection, id="root", created_at=NOW)
    for number, (job_id, parent) in enumerate([("a", "root"), ("b", "root"), ("aa", "a"), ("aaa", "aa")], 1):
        at = NOW + timedelta(seconds=number)
        insert_job(connection, id=job_id, parent_id=parent, root_id=root, created_at=at, state=State.SUCCESS)
    insert_job(connection, id="stranger")
    for seen_from in ("root", "a", "b", "aaa"):
        found = of(connection, seen_from)
        assert [node.id for node in found.nodes] == ["root", "a", "b", "aa", "aaa"]
        assert all(edge.kind is Kind.SENT for edge in found.edges) and len(found.edges) == 4
        assert (found.root_id, found.is_cut, found.groups) == ("root", False, {})
    found = of(connection, "aa")
    assert (found.ancestors(), found.descendants()) == (["a", "root"], ["aaa"])
    assert {node.id: node.distance for node in found.nodes} == {"aa": 0, "a": 1, "root": 1, "aaa": 1, "b": 2}
    assert found.freed_at("aa") is None
    assert family(connection, "nobody") is None


def test_a_huge_family_is_cut_and_says_so(connection: Connection) -> None:
    rows = [job_row(id="root")]
    rows += [job_row(id=f"child-{number}", parent_id="me", root_id="root") for number in range(300)]
    message = '{"group_index": 0}'
    rows += [job_row(id=f"part-{number}", group_id="g", message=message) for number in range(300)]
    rows += [job_row(id="me", parent_id="root", root_id="root", group_id="g", message=message)]
    transitions.insert_jobs(connection, rows)
    found = of(connection, "me", limit=40)
    assert found.is_cut and len(found.nodes) == 40
    names = {node.id for node in found.nodes}
    assert {"me", "root"} <= names and len(found.groups["g"]) >= 15 and len(found.descendants()) >= 15
    assert of(connection, "child-7", limit=20).is_cut
    assert not of(connection, "me", limit=700).is_cut


def test_a_long_line_of_ancestors_takes_few_statements(connection: Connection) -> None:
    transitions.insert_jobs(
        connection,
        [job_row(id=f"j{n:03}", parent_id=f"j{n - 1:03}" if n else None, root_id="j000") for n in range(100)],
    )
    statements: list[str] = []
    event.listen(connection, "before_cursor_execute", lambda *args: statements.append(args[2]))
    found = of(connection, "j050")
    assert len(statements) <= 30
    assert found.is_cut, "thirty steps to each side"
    assert {"j000", "j030", "j070"} <= {node.id for node in found.nodes}


def test_who_puts_others_in_its_place_is_no_endless_loop(connection: Connection) -> None:
    chain = '{"chain": [{"task": "add", "options": {"task_id": "first"}}]}'
    insert_job(connection, id="first", blocked_by="replacement", created_at=NOW)
    insert_job(
        connection,
        id="other",
        parent_id="first",
        root_id="first",
        message=chain,
        state=State.SUCCESS,
        finished_at=NOW,
        created_at=NOW + timedelta(seconds=1),
    )
    found = of(connection, "first")
    assert found.edges == [Edge("other", "first", Kind.THEN), Edge("first", "other", Kind.SENT)]
    assert found.descendants() == found.ancestors() == ["other"]
    assert found.freed_at("first") == NOW
