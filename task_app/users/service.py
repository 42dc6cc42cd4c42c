"""What one can do with users. Functions need an app context."""

import re
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ..errors import InvalidUser, UserExists
from ..extensions import db
from .models import LENGTH, User

# What mail headers can carry as it stands (RFC 5322's dot-atom); an international domain is written in its xn-- form.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

#: The id is a 32-bit integer on every database; PostgreSQL refuses to compare it with more.
_GREATEST_ID = 2**31 - 1


def add(name: str, email: str) -> User:
    """Store a new user. Raises InvalidUser, and UserExists when the email address is taken."""
    user = User(name=_checked_name(name), email=_checked_email(email))
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise UserExists(user.email) from None
    return user


def get(user_id: int) -> User | None:
    """Return a user, or None; any integer may be asked for."""
    return db.session.get(User, user_id) if 0 < user_id <= _GREATEST_ID else None


def everyone() -> Sequence[User]:
    """Return all users, oldest first."""
    return db.session.scalars(select(User).order_by(User.id)).all()


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or not name.isprintable() or len(name) > LENGTH:
        raise InvalidUser(f"a name is one line of 1 to {LENGTH} characters")
    return name


def _checked_email(email: str) -> str:
    email = email.strip()
    if not _EMAIL.fullmatch(email) or len(email) > LENGTH:
        raise InvalidUser(f"{email!r} is not an email address")
    return email
