"""Checks the URLs of databases, brokers, result backends, mail servers and stores of files before anything connects.

Every function raises ValueError with a short problem that is safe to print: it never holds a password.
The caller knows which setting the URL came from and says so.
"""

from collections.abc import Collection
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from celery.app.backends import BACKEND_ALIASES, by_url
from celery.exceptions import ImproperlyConfigured
from fsspec import get_filesystem_class
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

# What people write -> the driver this package installs.
DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
DATABASES = ("sqlite", "postgresql", "mysql", "mariadb")
EXTRAS = {"psycopg": "postgres", "pymysql": "mysql"}

REDIS = ("redis", "rediss", "redis+socket", "sentinel")
AMQP = ("amqp", "amqps", "pyamqp")
MEMORY = ("memory",)  # for tests of a single process
MAIL = ("smtp", "smtps")
READ_ONLY_FILES = ("http", "https", "data")


def database(text: str) -> str:
    """Return the URL with the driver named and, on MySQL, the character set that holds all of Unicode."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL; expected something like postgresql://user@host/name") from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    family = url.get_backend_name()
    if family not in DATABASES:
        raise ValueError(f"unknown database {family!r}; use one of {', '.join(DATABASES)}")
    if family != "sqlite" and not url.database:
        raise ValueError("the URL names no database")
    _import_driver(url)
    if url.get_driver_name() == "pymysql" and "charset" not in url.query:
        url = url.update_query_dict({"charset": "utf8mb4"})
    return text if family == "sqlite" else url.render_as_string(hide_password=False)


def _import_driver(url: URL) -> None:
    try:
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except NoSuchModuleError:
        raise ValueError(f"unknown database driver {url.drivername!r}") from None
    except ImportError as error:
        module = error.name or url.get_driver_name()
        extra = f'; pip install "task-app[{EXTRAS[module]}]"' if module in EXTRAS else ""
        raise ValueError(f"the driver module {module!r} is not installed{extra}") from None
    if dialect.is_async:
        raise ValueError(f"{url.drivername!r} is an asynchronous driver; this service needs a synchronous one")


def broker(text: str) -> str:
    """Return the URL as it is. Celery allows several, separated by semicolons, to fail over to."""
    for part in text.split(";"):
        url = _split(part, (*REDIS, *AMQP, *MEMORY), "a broker URL")
        if url.scheme in REDIS:
            _check_redis(url)
        elif url.scheme in AMQP and not url.hostname:
            raise ValueError("the URL names no host")
    return text


def result_backend(text: str) -> str:
    """Return the URL with its database driver named, if it is a database."""
    if text.startswith("db+"):
        return "db+" + database(text.removeprefix("db+"))
    url = _split(text, None, "a result backend URL")
    kind = url.scheme.partition("+")[0]
    if kind not in BACKEND_ALIASES:
        raise ValueError(f"unknown result backend {kind!r}; expected redis://, file:// or db+…")
    try:
        by_url(text)
    except (ImproperlyConfigured, ImportError):
        raise ValueError(f"the modules that the result backend {kind!r} needs are not installed") from None
    if url.scheme in REDIS:
        _check_redis(url)
    elif kind == "file" and not Path(unquote(url.path)).is_dir():
        raise ValueError(f"there is no directory {unquote(url.path)!r}")
    return text


def mail(text: str) -> str:
    """Return the URL as it is."""
    if not _split(text, MAIL, "a mail server URL").hostname:
        raise ValueError("the URL names no host")
    return text


def files(text: str) -> str:
    """Return the URL as it is. A plain path must be absolute: processes work in different folders."""
    if "://" not in text:
        if not Path(text).is_absolute():
            raise ValueError("not a URL such as s3://bucket/prefix, nor an absolute path")
        return text
    protocol = text.partition("://")[0]
    if "::" in text or protocol in READ_ONLY_FILES:
        raise ValueError(f"files can't be written to {protocol}")
    try:
        get_filesystem_class(protocol)
    except ValueError:
        raise ValueError(f"unknown store of files {protocol!r}; see fsspec's list of protocols") from None
    except ImportError:
        extra = '; pip install "task-app[s3]"' if protocol in ("s3", "s3a") else ""
        raise ValueError(f"the modules that {protocol}:// needs are not installed{extra}") from None
    return text


def _split(text: str, schemes: Collection[str] | None, what: str) -> SplitResult:
    known = "" if schemes is None else f"; expected {', '.join(f'{scheme}://' for scheme in schemes)}"
    try:
        url = urlsplit(text.strip())
        url.port  # noqa: B018  (the property raises on a port that isn't a number)
    except ValueError:
        raise ValueError(f"not {what}") from None
    if not url.scheme or "://" not in text:
        raise ValueError(f"not {what}{known}")
    if schemes is not None and url.scheme not in schemes:
        raise ValueError(f"unknown scheme {url.scheme!r}{known}")
    return url


def _check_redis(url: SplitResult) -> None:
    if url.scheme == "redis+socket":
        if not url.path.strip("/"):
            raise ValueError("the URL names no socket file")
        return
    if not url.hostname:
        raise ValueError("the URL names no host")
    number = url.path.strip("/")
    if url.scheme != "sentinel" and number and not number.isdecimal():
        raise ValueError(f"the Redis database must be a number, not {number!r}")


def place(text: str) -> str:
    """Say where a URL points, without user, password and options: fit for logs and error lines."""
    if text.startswith(DATABASES):
        url = make_url(text)
        if url.get_backend_name() == "sqlite":
            return url.database or ":memory:"
        host = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "localhost"
        return f"{host}/{url.database}"
    parts = urlsplit(text.partition(";")[0])
    if not parts.hostname:
        return unquote(parts.path)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
