"""The settings: where they come from, which source wins, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from task_app import config, create_app, urls
from task_app.errors import ConfigurationError

PLAIN_NAMES = {variable for setting in config.SETTINGS for variable in setting.env}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine the tests run on, and no .env file."""
    for variable in PLAIN_NAMES | {"FLASK_INSTANCE_PATH", "FLASK_CELERY", "FLASK_SKIP_DOTENV"}:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return tmp_path / "instance"


@pytest.fixture
def load(instance: Path) -> Any:
    def load(overrides: dict[str, Any] | None = None) -> dict[str, Any]:
        app = Flask("task_app", instance_path=str(instance))
        config.load(app, {} if overrides is None else overrides)
        return app.config

    return load


def test_without_any_setting_everything_is_embedded(load: Any, instance: Path) -> None:
    settings = load()
    assert settings["EMBEDDED_BROKER"]
    assert settings["EMBEDDED_DATABASE"]
    assert settings["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{instance}/task_app.db"
    assert settings["CELERY"] == {"broker_url": settings["CELERY_BROKER_URL"]}
    assert settings["CELERY_BROKER_URL"].startswith("redis+socket:///")
    assert settings["RESULT_BACKEND_URL"] is None
    assert (settings["HOST"], settings["PORT"]) == ("127.0.0.1", 5000)


def test_every_default_passes_its_own_check() -> None:
    for setting in config.SETTINGS:
        if setting.default is not None:
            assert setting.kind(setting.default) == setting.default, setting.name


def test_no_two_settings_share_a_name() -> None:
    names = [setting.name for setting in config.SETTINGS]
    variables = [variable for setting in config.SETTINGS for variable in setting.env]
    assert len(names) == len(set(names))
    assert len(variables) == len(set(variables))


def test_later_sources_win(load: Any, instance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load()["PORT"] == 5000
    instance.mkdir()
    (instance / "config.py").write_text("PORT = 1\n")
    assert load()["PORT"] == 1
    monkeypatch.setenv("FLASK_PORT", "2")
    assert load()["PORT"] == 2
    monkeypatch.setenv("PORT", "3")
    assert load()["PORT"] == 3
    assert load({"PORT": 4})["PORT"] == 4


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CELERY_BROKER_URL", "redis://broker/1"),
        ("FLASK_CELERY__broker_url", "redis://broker/1"),
        ("FLASK_CELERY__BROKER_URL", "redis://broker/1"),
        ("FLASK_CELERY_BROKER_URL", "redis://broker/1"),
        ("FLASK_CELERY", json.dumps({"broker_url": "redis://broker/1"})),
    ],
)
def test_the_broker_may_be_named_in_the_environment(
    load: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    settings = load()
    assert settings["CELERY"]["broker_url"] == "redis://broker/1"
    assert not settings["EMBEDDED_BROKER"]


@pytest.mark.parametrize(
    "overrides",
    [
        {"CELERY": {"broker_url": "amqp://mine//", "result_backend": "redis://results"}},
        {"CELERY_BROKER_URL": "amqp://mine//", "CELERY_RESULT_BACKEND": "redis://results"},
    ],
)
def test_the_mapping_of_create_app_wins_over_the_environment(
    load: Any, monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any]
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://environment")
    monkeypatch.setenv("FLASK_CELERY__task_soft_time_limit", "30")
    settings = load(overrides)
    assert settings["CELERY"] == {"broker_url": "amqp://mine//", "task_soft_time_limit": 30}
    assert settings["RESULT_BACKEND_URL"] == "redis://results"


def test_celery_settings_from_all_sources_come_together(
    load: Any, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.mkdir()
    (instance / "config.py").write_text("CELERY = {'timezone': 'UTC', 'task_time_limit': 1}\n")
    monkeypatch.setenv("FLASK_CELERY__task_time_limit", "2")
    settings = load({"CELERY": {"TASK_ROUTES": {"add": {"queue": "sums"}}}})
    assert settings["CELERY"]["timezone"] == "UTC"
    assert settings["CELERY"]["task_time_limit"] == 2
    assert settings["CELERY"]["task_routes"] == {"add": {"queue": "sums"}}


def test_several_brokers_may_be_given_as_celery_takes_them(load: Any) -> None:
    settings = load({"CELERY": {"broker_url": ["amqp://one//", "amqp://two//"]}})
    assert settings["CELERY"]["broker_url"] == "amqp://one//;amqp://two//"


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h:5433/d?sslmode=require", "postgresql+psycopg://u:p@h:5433/d?sslmode=require"),
        ("mysql://u:p%40@h/d", "mysql+pymysql://u:p%40@h/d?charset=utf8mb4"),
        ("mariadb://u@h/d", "mariadb+pymysql://u@h/d?charset=utf8mb4"),
        ("mysql+pymysql://u@h/d?charset=latin1", "mysql+pymysql://u@h/d?charset=latin1"),
        ("sqlite:////data/jobs.db", "sqlite:////data/jobs.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
    ],
)
def test_database_urls_get_their_driver(load: Any, given_url: str, used: str) -> None:
    for key in ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI"):
        settings = load({key: given_url})
        assert settings["SQLALCHEMY_DATABASE_URI"] == used
        assert not settings["EMBEDDED_DATABASE"]


def test_a_relative_sqlite_file_is_placed_in_the_instance_folder(load: Any, instance: Path) -> None:
    assert load({"DATABASE_URL": "sqlite:///jobs.db"})["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{instance}/jobs.db"


def test_an_empty_value_is_no_value(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("FLASK_PORT", "")
    settings = load({"CELERY_BROKER_URL": ""})
    assert settings["EMBEDDED_DATABASE"]
    assert settings["EMBEDDED_BROKER"]
    assert settings["PORT"] == 5000


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("PORT", "http", "must be a whole number from 0 to 65535, not 'http'"),
        ("PORT", "70000", "must be a whole number"),
        ("PORT", "5000.5", "must be a whole number"),
        ("FLASK_PORT", "true", "must be a whole number"),
        ("FLASK_JOB_DEFAULT_PRIORITY", "10", "must be a whole number from 0 to 9, not 10"),
        ("FLASK_WAIT_LIMIT", "NaN", "must be seconds from 0 to 3600"),
        ("FLASK_WAIT_LIMIT", "-1", "must be seconds"),
        ("FLASK_CLASSIC_ROUTES", "maybe", "must be true or false, not 'maybe'"),
        ("HOST", "local\nhost", "must be one line"),
        ("FLASK_CRAWL_USER_AGENT", "Späher", "must be ASCII"),
        ("FLASK_CRAWL_RATE", "0", "must be times per second, from 0.01 to 1000"),
        ("DATABASE_URL", f"postgres:/u:{SECRET}@h/d", "not a database URL"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@h:port/d", "not a database URL"),
        ("DATABASE_URL", f"oracle://u:{SECRET}@h/d", "unknown database 'oracle'"),
        ("DATABASE_URL", f"postgresql+nodriver://u:{SECRET}@h/d", "unknown database driver"),
        ("DATABASE_URL", f"postgresql+psycopg2://u:{SECRET}@h/d", "driver module 'psycopg2' is not installed"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@h", "names no database"),
        ("SQLALCHEMY_DATABASE_URI", "nonsense", "not a database URL"),
        ("CELERY_BROKER_URL", "localhost", "not a broker URL"),
        ("CELERY_BROKER_URL", f"http://u:{SECRET}@h", "unknown scheme 'http'"),
        ("CELERY_BROKER_URL", f"redis://:{SECRET}@h:x/0", "not a broker URL"),
        ("CELERY_BROKER_URL", f"redis://:{SECRET}@h/zero", "database must be a number"),
        ("CELERY_BROKER_URL", "redis://", "names no host"),
        ("CELERY_BROKER_URL", "amqp://", "names no host"),
        ("CELERY_BROKER_URL", "redis+socket://", "names no socket file"),
        ("CELERY_BROKER_URL", "redis://h;ftp://h", "unknown scheme 'ftp'"),
        ("FLASK_CELERY__broker_url", "nowhere", "not a broker URL"),
        ("FLASK_CELERY", "[]", "must be a mapping"),
        ("CELERY_RESULT_BACKEND", "nowhere", "not a result backend URL"),
        ("CELERY_RESULT_BACKEND", "nowhere://h", "unknown result backend 'nowhere'"),
        ("CELERY_RESULT_BACKEND", f"db+oracle://u:{SECRET}@h/d", "unknown database 'oracle'"),
        ("CELERY_RESULT_BACKEND", "file:///no/such/folder", "no directory '/no/such/folder'"),
        ("CELERY_RESULT_BACKEND", "redis://", "names no host"),
        ("SMTP_URL", f"imap://u:{SECRET}@h", "unknown scheme 'imap'"),
        ("SMTP_URL", "smtp://", "names no host"),
        ("FILES_URL", "files", "nor an absolute path"),
        ("FILES_URL", f"http://u:{SECRET}@h/x", "can't be written to http"),
        ("FILES_URL", "simplecache::s3://bucket", "can't be written to simplecache::s3"),
        ("FILES_URL", f"nowhere://u:{SECRET}@h", "unknown store of files 'nowhere'"),
        ("FILES_URL", f"dropbox://{SECRET}", "modules that dropbox:// needs are not installed"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_setting(
    load: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    line = str(caught.value)
    assert line.startswith(f"{variable}: ")
    assert problem in line
    assert SECRET not in line
    assert "\n" not in line


@pytest.mark.parametrize("program", ["1 +", "raise OSError('gone')", "import no_such_module"])
def test_a_broken_config_file_is_one_line(load: Any, instance: Path, program: str) -> None:
    instance.mkdir()
    (instance / "config.py").write_text(program)
    with pytest.raises(ConfigurationError, match=r"instance/config\.py: \S") as caught:
        load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://h/0", "rediss://:p@h:6380/1", "rpc://", "db+sqlite:///results.db", "db+postgresql://u@h/d"]
)
def test_result_backends_that_celery_knows_are_taken(load: Any, url: str) -> None:
    assert load({"CELERY_RESULT_BACKEND": url})["RESULT_BACKEND_URL"].startswith(url[:8])


def test_a_folder_for_results_is_taken(load: Any, tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    assert load({"CELERY_RESULT_BACKEND": url})["RESULT_BACKEND_URL"] == url


def test_files_are_kept_in_the_instance_folder_or_elsewhere(load: Any, instance: Path) -> None:
    assert load()["FILES_URL"] == str(instance / "files")
    for url in ("s3://bucket/prefix", "file:///var/files", "/var/files", "memory://x"):
        assert load({"FILES_URL": url})["FILES_URL"] == url


@pytest.mark.parametrize("types", ["csv", "text/csv; image/png", "text/csv, image", "text/", "*"])
def test_types_of_files_are_media_types(tmp_path: Path, types: str) -> None:
    with pytest.raises(ConfigurationError, match=r"FILE_TYPES: '.*' is no media type such as text/csv"):
        create_app({"INSTANCE_PATH": str(tmp_path), "FILE_TYPES": types})


def test_env_files_are_read_only_by_real_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # setenv first, so that monkeypatch removes what the file brings into the environment.
    monkeypatch.setenv("FLASK_INSTANCE_PATH", "")
    monkeypatch.delenv("FLASK_INSTANCE_PATH")
    (tmp_path / ".env").write_text("FLASK_INSTANCE_PATH=state\n")
    assert config.instance_path({}) is None
    assert config.instance_path(None) == str(tmp_path / "state")


def test_the_instance_folder_may_be_an_override(tmp_path: Path) -> None:
    assert config.instance_path({"INSTANCE_PATH": "state"}) == str(tmp_path / "state")


@given(st.text())
def test_no_text_makes_a_url_check_raise_anything_but_valueerror(text: str) -> None:
    for check in (urls.database, urls.broker, urls.result_backend, urls.mail, urls.files):
        for prefix in ("", "redis://", "amqp://", "postgresql://", "db+", "smtp://", "s3://"):
            try:
                check(prefix + text)
            except ValueError:
                continue


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+psycopg://u:hunter2@h:5433/d", "h:5433/d"),
        ("mysql+pymysql://u:hunter2@h/d?charset=utf8mb4", "h/d"),
        ("sqlite:////data/jobs.db", "/data/jobs.db"),
        ("redis://:hunter2@h:6379/0", "h:6379"),
        ("amqp://u:hunter2@h//", "h"),
        ("redis+socket:///run/a%20b.sock?virtual_host=0", "/run/a b.sock"),
    ],
)
def test_a_place_tells_no_secret(url: str, place: str) -> None:
    assert urls.place(url) == place
