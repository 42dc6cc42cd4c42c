"""The table `api_key`."""

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Model
from ..jobs.columns import Name, UtcDateTime


class Key(Model):
    """A key that somebody was given. The key itself is shown once and kept nowhere; only its digest is here."""

    __tablename__ = "api_key"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)  # the part of the key that is no secret
    name: Mapped[str] = mapped_column(Name)
    role: Mapped[str] = mapped_column(String(16))  # viewer, operator, admin
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the secret part, in hexadecimal
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # last, within a minute
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
