"""Fixtures with real processes."""

from collections.abc import Iterator

import pytest

from .stack import PAIRS, Stack, running

#: What else people run, with `--every-pair`.
MORE_PAIRS = [("postgresql", "rabbitmq"), ("mariadb", "redis")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let tests that take a `pair` run on each."""
    if "pair" in metafunc.fixturenames:
        pairs = PAIRS + (MORE_PAIRS if metafunc.config.getoption("every_pair") else [])
        # One group a pair: when tests run in several processes, those of a pair share a worker in one of them.
        params = [
            pytest.param(pair, id=name, marks=pytest.mark.xdist_group(name))
            for pair, name in zip(pairs, map("+".join, pairs), strict=True)
        ]
        metafunc.parametrize("pair", params, indirect=True, scope="module")


@pytest.fixture(scope="module")
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
