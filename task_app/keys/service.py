"""What one can do with keys. Functions need an app context; each is one transaction on the kernel's engine."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Row, Table, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import InvalidKeyName, KeyExists, KeyNotFound
from ..jobs.columns import FlushedLater
from ..jobs.database import transaction
from ..jobs.runtime import runtime, utcnow
from . import text
from .models import Key
from .roles import Role
from .view import KeyView

#: Longest name.
LENGTH = 100
#: `used_at` is written at most this often.
USED_INTERVAL = timedelta(minutes=1)

_table: Table = Key.__table__  # type: ignore[assignment]
_c = _table.c


def create(name: str, role: Role) -> tuple[KeyView, str]:
    """Make a key; return it and its text, which can't be had again.

    Raises InvalidKeyName, and KeyExists while a key of this name is live. The name of a revoked one is free: it goes
    from the list.
    """
    key = KeyView(text.new_id(), checked_name(name), role, "", utcnow(), None, None)
    secret = text.new_secret()
    row = {
        "id": key.id,
        "name": key.name,
        "role": role.value,
        "digest": text.digest_of(secret),
        "created_at": key.created_at,
    }
    try:
        with transaction(runtime().engine) as connection:
            connection.execute(delete(_table).where(_c.name == key.name, _c.revoked_at.is_not(None)))
            connection.execute(insert(_table), row)
    except IntegrityError:
        raise KeyExists(key.name) from None
    return key, text.key_text(key.id, secret)


def everyone() -> list[KeyView]:
    """Return all keys by their names, the live ones first."""
    with runtime().engine.connect() as connection:
        rows = connection.execute(select(_table)).all()
    return sorted(map(_view, rows), key=lambda key: (not key.is_live, key.name.casefold(), key.name))


def revoke(name: str) -> KeyView:
    """End a key for good; it stays in the list. Revoking it again changes nothing. Raises KeyNotFound."""
    ours = _c.name == name.strip()
    with transaction(runtime().engine) as connection:
        connection.execute(update(_table).where(ours, _c.revoked_at.is_(None)).values(revoked_at=utcnow()))
        row = connection.execute(select(_table).where(ours)).one_or_none()
    if row is None:
        raise KeyNotFound(name)
    return _view(row)


def get(key_id: str) -> KeyView | None:
    """Return a key by its public id, or None. One row by its primary key."""
    with runtime().engine.connect() as connection:
        row = connection.execute(select(_table).where(_c.id == key_id)).one_or_none()
    return None if row is None else _view(row)


def find(key_text: str, look_up: Callable[[str], KeyView | None] = get) -> KeyView | None:
    """Return the live key with this text, or None. `look_up` may remember for a moment what `get` returned."""
    parts = text.parts_of(key_text)
    if parts is None:
        return None
    key_id, secret = parts
    key = look_up(key_id)
    return key if key is not None and text.fits(secret, key.digest) and key.is_live else None


def any_live() -> bool:
    """Say whether there is a key with which somebody could come in."""
    with runtime().engine.connect() as connection:
        found = connection.execute(select(_c.id).where(_c.revoked_at.is_(None)).limit(1)).first()
    return found is not None


def note_use(key_id: str, now: datetime) -> None:
    """Write that a key was used, unless that was written within the last minute."""
    stale = or_(_c.used_at.is_(None), _c.used_at < now - USED_INTERVAL)
    with runtime().engine.connect() as connection:
        connection.execute(update(_table).where(_c.id == key_id, stale, FlushedLater()).values(used_at=now))


def checked_name(name: str) -> str:
    """Return a name as it is kept. Raises InvalidKeyName."""
    name = name.strip()
    if not name or not name.isprintable() or len(name) > LENGTH:
        raise InvalidKeyName(f"a key's name is one line of 1 to {LENGTH} printable characters")
    return name


def _view(row: Row[tuple[object, ...]]) -> KeyView:
    values = row._asdict()
    return KeyView(**{**values, "role": Role(values["role"])})
