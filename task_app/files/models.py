"""The table `file`. The bytes are elsewhere, see `store`."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Model
from ..jobs.columns import FileKey, JobId, Name, UtcDateTime


class File(Model):
    """One stored file. The row comes before the first byte and goes after the last: no bytes are ever without one."""

    __tablename__ = "file"

    id: Mapped[str] = mapped_column(FileKey, primary_key=True)
    name: Mapped[str] = mapped_column(Name)  # for people; no path is made of it
    type: Mapped[str] = mapped_column(Name)  # as somebody said; nobody has looked inside
    size: Mapped[int | None] = mapped_column(BigInteger)  # bytes
    sha256: Mapped[str | None] = mapped_column(String(64))  # in hexadecimal
    state: Mapped[str] = mapped_column(String(8))  # see `view.FileState`
    made_by: Mapped[str | None] = mapped_column(JobId)  # the job whose artefact it is, also when the job has gone
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)  # last written to, or asked for; within a minute

    __table_args__ = (
        Index("ix_file_created", "created_at", "id"),  # lists, and the sweeper's walk
        Index("ix_file_state", "state", "seen_at"),  # the sweeper: what never ended
    )
