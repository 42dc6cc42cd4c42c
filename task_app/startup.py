"""What must be there before a process works: local state, the embedded broker, a database with today's schema.

`create_app` builds and touches nothing; the web server, the worker, beat and the commands that use jobs call
`start`. Every error ends them with one line and no traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from alembic import command as alembic
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from amqp.exceptions import AccessRefused, NotAllowed
from celery import Celery
from celery.app.backends import by_url
from celery.signals import import_modules
from filelock import FileLock, Timeout
from flask import Flask
from flask.cli import AppGroup, ScriptInfo, run_command, shell_command
from kombu import Connection
from redis.exceptions import AuthenticationError
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from . import addresses, config, embedded, secret_key, urls
from .errors import ConfigurationError
from .jobs.database import engine_options
from .mirror.arguments import WrongTask

DATABASE = "SQLALCHEMY_DATABASE_URI"
MIGRATION_TIMEOUT = 120.0
BROKER_PATIENCE = 1.0


def init_app(app: Flask) -> None:
    """Call `start` when a process that runs this app begins to work. The factory calls this last.

    `flask run` and `flask shell` start here, as they load the app; other flask commands use StartedGroup.
    `celery worker`, `celery beat` and `celery shell` start when they ask for the task modules: that is before
    beat opens its schedule file, which the signal `beat_init` is not.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.command is run_command:
        with one_line_errors():
            start_web(app, context.params.get("host"))
    if context is not None and context.command is shell_command:
        start_or_exit(app)

    def on_celery_program(**_: Any) -> None:
        start_or_exit(app)

    celery: Celery = app.extensions["celery"]
    import_modules.connect(on_celery_program, sender=celery)
    # The signal holds its receivers weakly; this one shall live as long as its app.
    app.extensions["startup"] = on_celery_program


class StartedGroup(AppGroup):
    """A group of flask commands that use jobs: the process is started before any of them runs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Start, then run the command."""
        start_or_exit(ctx.ensure_object(ScriptInfo).load_app())
        return super().invoke(ctx)


@contextmanager
def one_line_errors(status: int = 1) -> Iterator[None]:
    """End the process with one line and this exit status if a setting turns out to be wrong."""
    try:
        yield
    except (ConfigurationError, WrongTask) as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(status) from None


@contextmanager
def command_errors() -> Iterator[None]:
    """Do the same where a command, flask or celery, is loading the app; elsewhere the exception goes on.

    Both commands would show a traceback for an ordinary exception.
    """
    if click.get_current_context(silent=True) is None:
        yield
    else:
        with one_line_errors():
            yield


def start_or_exit(app: Flask) -> None:
    """Call `start`; on an error print its line and end the process."""
    with one_line_errors():
        start(app)


def start_web(app: Flask, host: str | None = None) -> None:
    """Call `start` for a web server, which needs more: a key to sign sessions with. `host` is where it listens."""
    start(app)
    secret_key.demand(app)
    host = host or app.config["HOST"]
    if app.config["AUTH"] == "off" and addresses.is_loopback(host):
        app.logger.warning("AUTH is off: whoever reaches this server may do everything, without a key")
    elif app.config["AUTH"] == "off":
        app.logger.critical("AUTH IS OFF ON %s: EVERYBODY ON THIS NETWORK MAY DO EVERYTHING, WITHOUT A KEY", host)


def start(app: Flask) -> None:
    """Bring up or check all this process needs. Calling it again, or from many processes at once, is fine.

    An unreachable broker is only a warning: jobs wait in the database until it is back.
    """
    make_instance_folder(app)
    secret_key.ensure(app)
    if app.config["EMBEDDED_BROKER"]:
        embedded.ensure_running(app.instance_path)
    else:
        _look_for_server(app, "CELERY_BROKER_URL", "jobs will wait in the database")
    if app.config["EMBEDDED_DATABASE"]:
        _migrate(app)
    else:
        _check_schema(app)
    _look_for_result_backend(app)


def _look_for_result_backend(app: Flask) -> None:
    """Make the additional result backend once, so that what is wrong with it ends the start and not the first job."""
    url = app.config["RESULT_BACKEND_URL"]
    if url is None:
        return
    if url.startswith(("redis", "sentinel")):
        _look_for_server(app, "CELERY_RESULT_BACKEND", "results are in the job table only", url)
        return
    backend, bare_url = by_url(url)
    try:
        backend(app=app.extensions["celery"], url=bare_url).get_state("nobody")
    except Exception as error:  # noqa: BLE001  (every backend has errors of its own)
        name = config.name_of(app, "CELERY_RESULT_BACKEND")
        raise ConfigurationError(name, f"can't be used: {_one_line(error)}") from None


def make_instance_folder(app: Flask) -> None:
    """Make the folder of local state where it is missing. Raises ConfigurationError."""
    try:
        Path(app.instance_path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"FLASK_{config.INSTANCE_PATH}", f"can't make {app.instance_path}: {error.strerror}"
        ) from None


def _look_for_server(app: Flask, setting: str, consequence: str, url: str | None = None) -> None:
    """Warn when a broker, or Redis for results, is away; end the start when it won't have us."""
    url = url or str(app.config[setting])
    timeouts = {"socket_connect_timeout": BROKER_PATIENCE, "socket_timeout": BROKER_PATIENCE}
    try:
        with Connection(url, connect_timeout=BROKER_PATIENCE, transport_options=timeouts) as connection:
            connection.connect()
    except (AccessRefused, NotAllowed, AuthenticationError) as error:
        # Not an outage: it won't mend itself.
        problem = f"{urls.place(url)} refuses us: {_one_line(error)}"
        raise ConfigurationError(config.name_of(app, setting), problem) from None
    except Exception as error:  # noqa: BLE001  (every transport has errors of its own)
        app.logger.warning(
            "%s: nothing answers at %s (%s); %s",
            config.name_of(app, setting),
            urls.place(url),
            _one_line(error),
            consequence,
        )


def _migrate(app: Flask) -> None:
    """Bring the embedded database up to date. Looks first, so that the usual start takes no lock."""
    current, scripts, alembic_config = _schema(app)
    if current == set(scripts.get_heads()):
        return
    lock = Path(app.instance_path, "migrate.lock")
    try:
        with FileLock(lock, timeout=MIGRATION_TIMEOUT), app.app_context():
            alembic.upgrade(alembic_config, "head")
            app.extensions["migrate"].db.engine.dispose()  # no connection may be open when a worker forks
    except Timeout:
        raise ConfigurationError(DATABASE, f"another process is migrating the database; {lock} is held") from None
    except (CommandError, SQLAlchemyError) as error:
        raise ConfigurationError(DATABASE, f"the embedded database can't be migrated: {_one_line(error)}") from None


def _check_schema(app: Flask) -> None:
    name = config.name_of(app, DATABASE)
    current, scripts, _ = _schema(app)
    heads = set(scripts.get_heads())
    if current == heads:
        return
    if current <= {script.revision for script in scripts.walk_revisions()}:
        found = ", ".join(sorted(current)) or "empty"
        raise ConfigurationError(name, f"the schema is old ({found}), run `flask db upgrade`")
    raise ConfigurationError(name, f"the schema is newer ({', '.join(sorted(current))}) than this program")


def _schema(app: Flask) -> tuple[set[str], ScriptDirectory, AlembicConfig]:
    """The revisions the database is at, and the scripts that tell what they could be."""
    with app.app_context():
        alembic_config = app.extensions["migrate"].migrate.get_config()
    try:
        scripts = ScriptDirectory.from_config(alembic_config)
    except CommandError as error:
        raise ConfigurationError("migrations", _one_line(error)) from None
    url = app.config[DATABASE]
    try:
        # An engine of its own: the app's pools must not hold a connection when a worker forks.
        with create_engine(url, poolclass=NullPool, **_engine_options(app)).connect() as connection:
            return set(MigrationContext.configure(connection).get_current_heads()), scripts, alembic_config
    except SQLAlchemyError as error:
        reason = _one_line(getattr(error, "orig", None) or error, url)
        problem = f"can't reach the database at {urls.place(url)}: {reason}"
        raise ConfigurationError(config.name_of(app, DATABASE), problem) from None


def _engine_options(app: Flask) -> dict[str, Any]:
    options = engine_options(app.config[DATABASE])
    chosen = app.config.get("SQLALCHEMY_ENGINE_OPTIONS", {}).get("connect_args", {})
    return {"connect_args": {**options["connect_args"], **chosen}}


def _one_line(error: BaseException, url: str = "") -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = " ".join(lines[0].split())
    password = make_url(url).password if url.startswith(urls.DATABASES) else None
    return line.replace(str(password), "***") if password else line
