"""The pytest plugin as users have it: in a run of their own, with their own settings, databases and warnings."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from .. import services

ROOT = Path(__file__).resolve().parents[2]
TASKS = '''
"""Tasks of a user."""

from celery import shared_task

@shared_task
def double(number: int) -> int:
    """Double a number."""
    return 2 * number
'''
TESTS = """
import pytest

@pytest.fixture
def task_app_settings():
    return {"TASK_MODULES": "mine", "JOB_DEFAULT_QUEUE": "fast"}

@pytest.mark.parametrize("again", range(2))
def test_each_has_tables_of_its_own(jobs, task_app_client, again):
    assert jobs.enqueued() == []
    assert task_app_client.post("/tasks/mine.double", json={"number": 2}).status_code == 202
    jobs.assert_enqueued("mine.double", kwargs={"number": 2}, queue="fast")
    assert [job.result for job in jobs.drain()] == [4]
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in a process of its own, where this package is installed and no setting is given."""
    about = pytester.mkdir("site") / "task_app-9.dist-info"
    about.mkdir()
    plugins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    lines = [f"{name} = {module}" for name, module in plugins.items()]
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: task-app\nVersion: 9\n")
    (about / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    monkeypatch.setenv("PYTHONPATH", f"{about.parent}:{ROOT}:{pytester.path}")
    monkeypatch.delenv("TASK_APP_TEST_DATABASE", raising=False)
    pytester.makepyfile(mine=TASKS)

    def run(*arguments: str) -> pytest.RunResult:
        strict = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:valkey")
        return pytester.runpytest_subprocess(*strict, *arguments, timeout=120)

    return run


def test_an_installed_package_is_all_it_needs(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(TESTS)
    run().assert_outcomes(passed=2)


def test_naming_it_as_well_is_fine(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest('from task_app.testing import Jobs\npytest_plugins = ["task_app.testing"]\n')
    pytester.makepyfile(TESTS)
    run().assert_outcomes(passed=2)


def test_a_run_that_does_not_use_it_pays_nothing(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_was_imported():
            heavy = {"celery", "kombu", "flask", "sqlalchemy", "marshmallow", "werkzeug", "alembic"}
            assert heavy & set(sys.modules) == set()
            ours = {name for name in sys.modules if name.startswith("task_app")}
            assert ours == {"task_app", "task_app.version", "task_app.testing"}
        """
    )
    run().assert_outcomes(passed=1)


def test_it_can_be_left_out(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(TESTS)
    run("-p", "no:task_app.testing").assert_outcomes(errors=2)


def test_a_failing_assertion_points_to_the_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_it(jobs):
            jobs.assert_enqueued("add", args=[1, 2])
        """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ['>*jobs.assert_enqueued("add", args=[[]1, 2[]])', "E*expected a job add(1, 2), found 0; enqueued were:"]
    )
    result.stdout.no_fnmatch_line("*raise AssertionError(*")


def test_a_test_that_forgot_the_fixture_is_told_so(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        from mine import double

        def test_first(jobs):
            double.delay(1)

        def test_second():
            double.delay(2)
        """
    )
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E *RuntimeError: mine.double can't be submitted: * ask for the fixture jobs, or task_app"]
    )


def test_settings_of_the_machine_are_no_settings_of_a_test(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://192.0.2.1/0")  # an address that nobody has
    monkeypatch.setenv("SMTP_URL", "smtp://192.0.2.1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://192.0.2.1/production")
    monkeypatch.setenv("FILES_URL", f"file://{pytester.path}/production")
    monkeypatch.setenv("FLASK_CRAWL_PRIVATE", "true")
    monkeypatch.setenv("FLASK_CELERY__task_always_eager", "true")
    pytester.makepyfile(
        TESTS
        + """
def test_what_leads_outside(task_app, tmp_path):
    config = task_app.config
    assert config["FILES_URL"] == str(tmp_path / "files")
    assert config["SMTP_URL"] is None
    assert config["CELERY_RESULT_BACKEND"] is None
    assert config["CRAWL_PRIVATE"] is False
    assert not task_app.extensions["celery"].conf.task_always_eager
"""
    )
    run().assert_outcomes(passed=3)


def test_settings_that_a_test_gives_may_lead_outside(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def task_app_settings():
            return {"CRAWL_PRIVATE": True, "SMTP_URL": "smtp://127.0.0.1:8025"}

        def test_it(task_app):
            assert task_app.config["CRAWL_PRIVATE"] is True
            assert task_app.config["SMTP_URL"] == "smtp://127.0.0.1:8025"
        """
    )
    run().assert_outcomes(passed=1)


def test_models_of_a_user_get_their_tables(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        orders="""
        from celery import shared_task
        from sqlalchemy.orm import Mapped, mapped_column
        from task_app.extensions import Model, db

        class Order(Model):
            __tablename__ = "order_of_a_user"
            id: Mapped[int] = mapped_column(primary_key=True)

        @shared_task(name="place")
        def place() -> int:
            db.session.add(Order())
            db.session.commit()
            return db.session.query(Order).count()
        """
    )
    pytester.makepyfile(
        """
        import orders, pytest

        @pytest.mark.parametrize("again", range(2))
        def test_it(jobs, again):
            assert jobs.run_task("place").result == 1
        """
    )
    run().assert_outcomes(passed=2)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_server_gets_a_new_database_and_gives_it_back(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    services.need(kind)
    url = services.URLS[kind]
    monkeypatch.setenv("TASK_APP_TEST_DATABASE", url)
    pytester.makepyfile(
        TESTS
        + f"""
def test_where_it_is(task_app):
    assert "_test_" in task_app.config["SQLALCHEMY_DATABASE_URI"]
    assert task_app.config["SQLALCHEMY_DATABASE_URI"].startswith("{url.partition(":")[0]}:")
"""
    )
    run().assert_outcomes(passed=3)
    engine = create_engine(url)
    names = "SELECT datname FROM pg_database" if kind == "postgresql" else "SHOW DATABASES"
    beside = str(engine.url.database) + "_test_"
    with engine.connect() as connection:
        assert [name for name in connection.execute(text(names)).scalars() if name.startswith(beside)] == []
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "TASK_APP_TEST_DATABASE: not a database URL"),
        (
            "sqlite:////tmp/x.db",
            "TASK_APP_TEST_DATABASE: names a SQLite file; without it",
        ),
    ],
)
def test_a_database_that_cannot_be_is_refused(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, url: str, problem: str
) -> None:
    monkeypatch.setenv("TASK_APP_TEST_DATABASE", url)
    pytester.makepyfile(TESTS)
    result = run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines([f"*{problem}*"])
