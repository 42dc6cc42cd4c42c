"""Fixtures with real processes."""

from collections.abc import Iterator

import pytest

from .stack import Stack, running

#: Each database and each broker, in the pairs that people run. The two never speak with each other, so not all nine.
KINDS = [
    ("sqlite", "embedded"),
    ("postgresql", "redis"),
    ("postgresql", "rabbitmq"),
    ("mariadb", "redis"),
    ("mariadb", "rabbitmq"),
]

#: One group a pair: when tests run in several processes, those of a pair share a worker in one of them.
PAIRS = [pytest.param(pair, id="+".join(pair), marks=pytest.mark.xdist_group("+".join(pair))) for pair in KINDS]


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with one worker, on each pair of database and broker in turn."""
    folder = tmp_path_factory.mktemp("-".join(request.param))
    with running(folder, *request.param) as stack:
        stack.start_worker()
        yield stack


@pytest.fixture
def embedded_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on embedded parts, without processes yet."""
    with running(tmp_path_factory.mktemp("embedded"), "sqlite", "embedded") as stack:
        yield stack
