"""Every setting: its default, what it may be, what it means.

`load` fills `app.config`. Later sources win: the defaults below, `instance/config.py`, the environment as
`FLASK_<NAME>` (values are read as JSON where they can be), the environment under the plain names listed
in the table, and last the mapping given to `create_app`. An empty value counts as not given.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any

from flask import Config, Flask
from flask.cli import load_dotenv
from flask.helpers import get_load_dotenv
from sqlalchemy.engine import URL, make_url

from . import embedded, urls
from .errors import ConfigurationError

INSTANCE_PATH = "INSTANCE_PATH"
SQLITE_FILE = "task_app.db"
FILES_FOLDER = "files"


@dataclass(frozen=True)
class Integer:
    """A whole number within limits."""

    minimum: int
    maximum: int

    def __call__(self, value: object) -> int:
        """Return the value in its type, or raise ValueError with what is wrong."""
        number = _number(value)
        if number is None or number != int(number) or not self.minimum <= number <= self.maximum:
            raise ValueError(f"must be {self}, not {_show(value)}")
        return int(number)

    def __str__(self) -> str:
        return f"a whole number from {self.minimum} to {self.maximum}"


@dataclass(frozen=True)
class Seconds:
    """A time span within limits."""

    minimum: float
    maximum: float

    def __call__(self, value: object) -> float:
        """Return the value in its type, or raise ValueError with what is wrong."""
        number = _number(value)
        if number is None or not self.minimum <= number <= self.maximum:
            raise ValueError(f"must be {self}, not {_show(value)}")
        return number

    def __str__(self) -> str:
        return f"seconds from {self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True)
class Days(Seconds):
    """A long time span within limits."""

    def __str__(self) -> str:
        return f"days from {self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True)
class Hours(Seconds):
    """A time span of a working day or so."""

    def __str__(self) -> str:
        return f"hours from {self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True)
class PerSecond(Seconds):
    """How often something may be done."""

    def __str__(self) -> str:
        return f"times per second, from {self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True)
class Switch:
    """True or false, in the words people use for it."""

    def __call__(self, value: object) -> bool:
        """Return the value in its type, or raise ValueError with what is wrong."""
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off"):
            return False
        raise ValueError(f"must be true or false, not {_show(value)}")

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """Return the value in its type, or raise ValueError with what is wrong."""
        word = str(value).strip().lower()
        if word not in self.words:
            raise ValueError(f"must be {self}, not {_show(value)}")
        return word

    def __str__(self) -> str:
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"


@dataclass(frozen=True)
class Text:
    """One line of text. A wrong value is never shown: it may be a secret."""

    def __call__(self, value: object) -> str:
        """Return the value in its type, or raise ValueError with what is wrong."""
        # FLASK_… values are read as JSON, so a text of digits arrives as a number.
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError("must be text")
        text = str(value)
        if not text.isprintable():
            raise ValueError("must be one line of printable text")
        return text

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True)
class AsciiText(Text):
    """One line of text that fits into a header of HTTP."""

    def __call__(self, value: object) -> str:
        """Return the value in its type, or raise ValueError with what is wrong."""
        text = super().__call__(value)
        if not text.isascii():
            raise ValueError("must be ASCII")
        return text

    def __str__(self) -> str:
        return "ASCII text"


@dataclass(frozen=True)
class Modules:
    """Names of Python modules: a list, or one text with commas between them."""

    def __call__(self, value: object) -> tuple[str, ...]:
        """Return the names, each once, or raise ValueError with what is wrong."""
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"must be {self}, not {_show(value)}")
        names = [name.strip() for name in names]
        for name in names:
            if not all(part.isidentifier() and not iskeyword(part) for part in name.split(".")):
                raise ValueError(f"must be {self}; {_show(name)} can't be one")
        return tuple(dict.fromkeys(names))

    def __str__(self) -> str:
        return "names of modules"


@dataclass(frozen=True)
class Url:
    """An address, checked and completed by a function of `urls`."""

    check: Callable[[str], str]

    def __call__(self, value: object) -> str:
        """Return the value in its type, or raise ValueError with what is wrong."""
        if isinstance(value, list | tuple):  # Celery's other way to write several brokers
            value = ";".join(str(part) for part in value)
        if not isinstance(value, str):
            raise ValueError("must be a URL")
        return self.check(value)

    def __str__(self) -> str:
        return "URL"


Kind = Choice | Integer | Modules | Seconds | Switch | Text | Url


@dataclass(frozen=True)
class Setting:
    """One row of the table. `env` lists plain environment names; `FLASK_<name>` always works."""

    name: str
    default: Any
    kind: Kind
    help: str
    env: tuple[str, ...] = ()


MIB = 1024 * 1024

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "SQLALCHEMY_DATABASE_URI",
        None,
        Url(urls.database),
        "The database: PostgreSQL, MariaDB/MySQL or SQLite. Not given: a SQLite file under instance/.",
        env=("SQLALCHEMY_DATABASE_URI", "DATABASE_URL"),
    ),
    Setting(
        "CELERY_BROKER_URL",
        None,
        Url(urls.broker),
        "The broker: Redis or RabbitMQ. Not given: the embedded broker. The same as CELERY['broker_url'].",
        env=("CELERY_BROKER_URL",),
    ),
    Setting(
        "CELERY_RESULT_BACKEND",
        None,
        Url(urls.result_backend),
        "Where results are written besides the job table. The same as CELERY['result_backend'].",
        env=("CELERY_RESULT_BACKEND",),
    ),
    Setting(
        "SECRET_KEY",
        None,
        Text(),
        "The key that signs sessions. Not given: made under instance/ if broker and database are embedded.",
        env=("SECRET_KEY",),
    ),
    Setting(
        "AUTH",
        "auto",
        Choice(("auto", "required", "off")),
        "Who must sign in. auto: everybody, but on a fresh embedded service, for this machine, nobody.",
        env=("AUTH",),
    ),
    Setting("SESSION_HOURS", 12.0, Hours(0.1, 8760), "Hours until somebody who signed in must do so again."),
    Setting(
        "TRUSTED_PROXIES",
        0,
        Integer(0, 10),
        "Proxies before the service whose X-Forwarded-… headers count.",
        env=("TRUSTED_PROXIES",),
    ),
    Setting("HOST", "127.0.0.1", Text(), "The address `make run` listens on.", env=("HOST",)),
    Setting("PORT", 5000, Integer(0, 65535), "The port `make run` listens on; 0: any free one.", env=("PORT",)),
    Setting(
        "WORKER_CONCURRENCY",
        2,
        Integer(1, 1024),
        "Jobs the worker of `make run` runs at once.",
        env=("WORKER_CONCURRENCY",),
    ),
    Setting(
        "TASK_MODULES",
        None,
        Modules(),
        "Modules with tasks of your own, imported at the start; a list, or names with commas between them.",
        env=("TASK_MODULES",),
    ),
    Setting("MAX_CONTENT_LENGTH", 16 * MIB, Integer(1, 2**31 - 1), "Bytes of the largest request body."),
    Setting("JOB_ARGUMENTS_LIMIT", MIB, Integer(1, 2**31 - 1), "Bytes of one job's arguments as JSON."),
    Setting("JOB_RESULT_LIMIT", MIB, Integer(1, 2**31 - 1), "Bytes of one job's result as JSON."),
    Setting(
        "MESSAGE_ARGUMENTS_LIMIT",
        64 * 1024,
        Integer(0, 2**31 - 1),
        "Bytes of arguments in a message, those of later steps included; larger ones are read from the row.",
    ),
    Setting("JOB_DEFAULT_QUEUE", "celery", Text(), "The queue of a job that names none."),
    Setting("JOB_DEFAULT_PRIORITY", 5, Integer(0, 9), "The priority of a job that names none; 9 goes first."),
    Setting("BATCH_LIMIT", 10_000, Integer(1, 100_000), "Jobs in one POST /tasks/batch."),
    Setting("WAIT_LIMIT", 60.0, Seconds(0, 3600), "The longest ?wait= of GET /tasks/<id>."),
    Setting(
        "WATCH_LIMIT",
        24,
        Integer(0, 100_000),
        "Event streams and ?wait= calls at once in one web process; each keeps a thread busy: fewer than those.",
    ),
    Setting("PROGRESS_INTERVAL", 0.2, Seconds(0, 60), "Progress is written at most this often."),
    Setting("CANCEL_GRACE", 5.0, Seconds(0, 3600), "Time a running job has to obey a cancel before it is terminated."),
    Setting("HEARTBEAT_INTERVAL", 2.0, Seconds(0.1, 60), "A worker says this often that it lives."),
    Setting("WORKER_TIMEOUT", 30.0, Seconds(1, 3600), "A worker silent for this long is given up for dead."),
    Setting("DISPATCH_INTERVAL", 0.5, Seconds(0.05, 60), "The dispatcher looks this often for due jobs."),
    Setting(
        "DISPATCH_GRACE",
        5.0,
        Seconds(0, 3600),
        "Time the submitting process has to publish a job before the dispatcher does.",
    ),
    Setting(
        "LOST_MESSAGE_AFTER", 10.0, Seconds(1, 86400), "A published job nobody claimed for this long is looked for."
    ),
    Setting("MAX_RESCUES", 3, Integer(0, 1000), "Times a job is started again after its worker died."),
    Setting("BROKER_TIMEOUT", 0.5, Seconds(0.05, 60), "Time one attempt to publish may take."),
    Setting(
        "DISPATCH_RATE", 1000, Integer(1, 1_000_000), "Messages a dispatcher sends per second at most, after an outage."
    ),
    Setting(
        "DEAF_AFTER",
        10.0,
        Seconds(1, 3600),
        "A worker with room that takes nothing for this long while jobs wait in its queues connects anew.",
    ),
    Setting(
        "STUCK_AFTER",
        60.0,
        Seconds(4, 86400),
        "A worker whose loop has stood still for this long ends, for its supervisor to start another.",
    ),
    Setting(
        "STOP_GRACE",
        25.0,
        Seconds(0, 86400),
        "Time running jobs have to end when a worker is told to stop; the rest go back to waiting.",
    ),
    Setting("KEEP_SUCCESS_DAYS", 30.0, Days(0, 36500), "Days a job that succeeded is kept; 0: for ever."),
    Setting("KEEP_FAILURE_DAYS", 90.0, Days(0, 36500), "Days a job that failed is kept; 0: for ever."),
    Setting("KEEP_REVOKED_DAYS", 30.0, Days(0, 36500), "Days a job that was revoked is kept; 0: for ever."),
    Setting("KEEP_NEWEST_FAILURES", 1000, Integer(0, 1_000_000), "Failures that are kept however old they are."),
    Setting(
        "FILES_URL",
        None,
        Url(urls.files),
        "Where files are kept: an fsspec URL such as s3://bucket/prefix. Not given: instance/files/.",
        env=("FILES_URL",),
    ),
    Setting("FILE_SIZE_LIMIT", 1024 * MIB, Integer(1, 2**50), "Bytes of the largest file."),
    Setting("FILE_TYPES", None, Text(), "Media types that may be uploaded, as text/csv, image/*. Not given: any."),
    Setting("FILE_RETENTION_DAYS", 7.0, Days(0, 36500), "Days an uploaded file is kept that no job uses; 0: for ever."),
    Setting("CLASSIC_ROUTES", True, Switch(), "Serve the routes of the well-known tutorials."),
    Setting("CLASSIC_SLEEP_SECONDS", 10.0, Seconds(0, 3600), "How long the task of GET /run-task sleeps."),
    Setting("CLASSIC_STEP_SECONDS", 1.0, Seconds(0, 3600), "How long one step of POST /longtask takes."),
    Setting("CLASSIC_ADD_SECONDS", 3.0, Seconds(0, 3600), "How long the task of POST /add waits."),
    Setting(
        "SMTP_URL",
        None,
        Url(urls.mail),
        "The mail server, smtp:// or smtps://. Not given: mails are written to instance/mail/.",
        env=("SMTP_URL",),
    ),
    Setting("MAIL_FROM", "task_app@localhost", Text(), "The sender of mails.", env=("MAIL_FROM",)),
    Setting(
        "NIGHTLY_REPORT_TO",
        None,
        Text(),
        "Who gets a mail with a report of the day, from beat at 03:00 (extra gallery). Not given: nobody.",
    ),
    Setting(
        "NIGHTLY_PRUNE_DAYS",
        0.0,
        Days(0, 36500),
        "Days after which beat has ended jobs deleted, at 02:30, whatever KEEP_… says; 0: never.",
    ),
    Setting(
        "CRAWL_PRIVATE",
        False,
        Switch(),
        "Tasks may read URLs of this machine and of the intranet: whoever may submit jobs then sees what is there.",
    ),
    Setting(
        "CRAWL_USER_AGENT",
        "task_app",
        AsciiText(),
        "What tasks that read URLs call themselves; robots.txt is read for the word before a slash or space.",
    ),
    Setting("CRAWL_RATE", 1.0, PerSecond(0.01, 1000), "Requests per second that `crawl` sends to one host at most."),
)

# Other names of a setting as a config key, from older tutorials and from Celery's own vocabulary.
CONFIG_ALIASES = {"DATABASE_URL": "SQLALCHEMY_DATABASE_URI"}
CELERY_ALIASES = {"broker_url": "CELERY_BROKER_URL", "result_backend": "CELERY_RESULT_BACKEND"}


def instance_path(overrides: Mapping[str, Any] | None, *, environment: bool = True) -> str | None:
    """The folder for local state, if one was chosen. create_app asks before there is an app."""
    path = (overrides or {}).get(INSTANCE_PATH)
    if environment:
        _load_env_files(overrides)
        path = path or os.environ.get(f"FLASK_{INSTANCE_PATH}")
    return str(Path(path).absolute()) if path else None


def load(app: Flask, overrides: Mapping[str, Any] | None, *, environment: bool = True) -> None:
    """Fill `app.config` and check it; ConfigurationError names the first setting that is wrong.

    Besides the settings of the table this sets EMBEDDED_BROKER, EMBEDDED_DATABASE, RESULT_BACKEND_URL and CELERY,
    the mapping of Celery's own settings. The result backend isn't in that mapping: the job table is Celery's.

    Tests do without the `environment`: it may name what is in production.
    """
    if environment:
        _load_env_files(overrides)
    given, names = _gather(app, overrides, environment=environment)
    for setting in SETTINGS:
        value = given.pop(setting.name, None)
        if value is None or value == "":
            app.config[setting.name] = setting.default
            continue
        try:
            app.config[setting.name] = setting.kind(value)
        except ValueError as error:
            raise ConfigurationError(names[setting.name], str(error)) from None
    app.config.update(given)
    app.extensions["setting_names"] = names
    _settle_addresses(app)


def name_of(app: Flask, setting: str) -> str:
    """The name under which the user gave a setting, for error lines."""
    names: dict[str, str] = app.extensions["setting_names"]
    return names.get(setting, setting)


def _load_env_files(overrides: Mapping[str, Any] | None) -> None:
    """Read .env and .flaskenv as the flask command does, so that a Celery worker sees the same settings."""
    if overrides is None and get_load_dotenv():
        load_dotenv()


def _gather(
    app: Flask, overrides: Mapping[str, Any] | None, *, environment: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge all sources; also tell under which name each setting was given."""
    merged: dict[str, Any] = {"CELERY": {}}
    names: dict[str, str] = {}
    _merge(merged, names, _from_file(app), "")
    if environment:
        _merge_environment(app, merged, names)
    _merge(merged, names, overrides or {}, "")
    return merged, names


def _merge_environment(app: Flask, merged: dict[str, Any], names: dict[str, str]) -> None:
    _merge(merged, names, _from_prefixed_environment(app), "FLASK_")
    for setting in SETTINGS:
        for variable in reversed(setting.env):
            if os.environ.get(variable):
                merged[setting.name] = os.environ[variable]
                names[setting.name] = variable


def _merge(merged: dict[str, Any], names: dict[str, str], layer: Mapping[str, Any], prefix: str) -> None:
    for key, value in layer.items():
        if key == "CELERY":
            if not isinstance(value, Mapping):
                raise ConfigurationError(prefix + key, "must be a mapping of Celery's settings")
            for word, choice in value.items():
                option = word.lower()
                if alias := CELERY_ALIASES.get(option):
                    merged[alias] = choice
                    names[alias] = f"{prefix}CELERY__{option}" if prefix else f"CELERY[{option!r}]"
                else:
                    merged["CELERY"][option] = choice
            continue
        name = CONFIG_ALIASES.get(key, key)
        old = merged.get(name)
        merged[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
        names[name] = prefix + key


def _from_file(app: Flask) -> Config:
    layer = Config(app.instance_path)
    try:
        layer.from_pyfile("config.py", silent=True)
    except Exception as error:  # noqa: BLE001  (the file is a program: it may raise anything)
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(str(Path(app.instance_path, "config.py")), problem) from None
    return layer


def _from_prefixed_environment(app: Flask) -> Config:
    layer = Config(app.root_path)
    try:
        layer.from_prefixed_env()
    except TypeError:
        raise ConfigurationError("FLASK_CELERY", "must be a JSON object where FLASK_CELERY__… is used") from None
    return layer


def _settle_addresses(app: Flask) -> None:
    config = app.config
    config["EMBEDDED_BROKER"] = config["CELERY_BROKER_URL"] is None
    config["EMBEDDED_DATABASE"] = config["SQLALCHEMY_DATABASE_URI"] is None
    if config["EMBEDDED_BROKER"]:
        config["CELERY_BROKER_URL"] = embedded.broker_url(app.instance_path)
    if config["EMBEDDED_DATABASE"]:
        file = str(Path(app.instance_path, SQLITE_FILE))
        config["SQLALCHEMY_DATABASE_URI"] = URL.create("sqlite", database=file).render_as_string()
    config["SQLALCHEMY_DATABASE_URI"] = _absolute(config["SQLALCHEMY_DATABASE_URI"], app.instance_path)
    if config["FILES_URL"] is None:
        config["FILES_URL"] = str(Path(app.instance_path, FILES_FOLDER))
    config["CELERY"]["broker_url"] = config["CELERY_BROKER_URL"]
    config["RESULT_BACKEND_URL"] = config["CELERY_RESULT_BACKEND"]


def _absolute(url: str, folder: str) -> str:
    """Place a relative SQLite file in the instance folder, as Flask-SQLAlchemy does, whatever engine opens it."""
    parts = make_url(url)
    file = parts.database
    if parts.get_backend_name() != "sqlite" or not file or file.startswith((":memory:", "file:")):
        return url
    return parts.set(database=str(Path(folder, file))).render_as_string()


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
