"""The table `user`."""

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Model

#: Longest name and longest email address.
LENGTH = 255

# Compared exactly on every database; MariaDB would otherwise ignore case and accents.
_Text = String(LENGTH).with_variant(mysql.VARCHAR(LENGTH, collation="utf8mb4_bin"), "mysql", "mariadb")


class User(Model):
    """Somebody who can be sent mail. (SQLAlchemy quotes the table's name, a reserved word in PostgreSQL.)"""

    __tablename__ = "user"
    __table_args__ = (UniqueConstraint("email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(_Text)
    email: Mapped[str] = mapped_column(_Text)
