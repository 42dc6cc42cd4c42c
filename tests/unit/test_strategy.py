"""Messages that would take a worker down, or lie to it, are told from others by their headers."""

from typing import Any

import pytest

from task_app.mirror.strategy import _problem_with


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"id": "x", "task": "add"}, None),
        ({"id": "x", "timelimit": [None, 5]}, None),
        ({"id": "x" * 1000}, "id"),
        ({"id": "x", "timelimit": ["soon", None]}, "time limit"),
        ({"id": "x", "claimed": True}, "claimed"),
        ({"id": "x", "job_fenced": True, "started_at": 1}, "job_fenced, started_at"),
    ],
)
def test_a_problem_is_named(headers: dict[str, Any], said: str | None) -> None:
    problem = _problem_with(headers)
    assert problem is None if said is None else problem is not None and said in problem
