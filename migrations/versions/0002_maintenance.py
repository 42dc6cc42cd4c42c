"""What maintenance needs: dispatch by priority, expiry, families, and what workers say of themselves."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Spelled out here, not imported: a migration must stay what it was when it ran.
MYSQL = ("mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), *MYSQL)
MOMENT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), *MYSQL)


def _where(condition: str) -> dict[str, Any]:
    """Make an index partial where the database can."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    op.drop_index("ix_job_dispatch", "job")
    op.create_index("ix_job_dispatch", "job", ["priority", "dispatch_at"], **_where("dispatch_at IS NOT NULL"))
    op.create_index(
        "ix_job_expires",
        "job",
        ["expires_at", "finished_at"],
        **_where("expires_at IS NOT NULL AND finished_at IS NULL"),
    )
    op.create_index(
        "ix_job_parent", "job", ["parent_id", "finished_at"], **_where("parent_id IS NOT NULL AND finished_at IS NULL")
    )
    op.create_index(
        "ix_job_published",
        "job",
        ["queue", "finished_at", "published_at"],
        **_where("finished_at IS NULL AND published_at IS NOT NULL"),
    )
    op.create_index("ix_job_group_created", "job_group", ["created_at"])
    op.create_index("ix_job_blocked", "job", ["blocked_by", "created_at"], **_where("blocked_by IS NOT NULL"))

    # Rows of workers say only what the next heartbeat says again; MariaDB has no defaults for long texts.
    op.execute(sa.text("DELETE FROM worker WHERE stopped_at IS NOT NULL"))
    with op.batch_alter_table("worker") as worker:
        for name in ("newest", "services"):
            worker.add_column(sa.Column(name, LONG_TEXT))
        for name in ("dropped", "refused", "junk"):
            worker.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
        worker.add_column(sa.Column("last_message_at", MOMENT))
    op.execute(sa.text("UPDATE worker SET newest = '{}', services = '{}'"))
    with op.batch_alter_table("worker") as worker:
        for name in ("newest", "services"):
            worker.alter_column(name, existing_type=LONG_TEXT, nullable=False)
        for name in ("dropped", "refused", "junk"):
            worker.alter_column(name, existing_type=sa.Integer(), existing_nullable=False, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("worker") as worker:
        for name in ("newest", "services", "dropped", "refused", "junk", "last_message_at"):
            worker.drop_column(name)
    op.drop_index("ix_job_blocked", "job")
    op.drop_index("ix_job_group_created", "job_group")
    op.drop_index("ix_job_published", "job")
    op.drop_index("ix_job_parent", "job")
    op.drop_index("ix_job_expires", "job")
    op.drop_index("ix_job_dispatch", "job")
    op.create_index("ix_job_dispatch", "job", ["dispatch_at"], **_where("dispatch_at IS NOT NULL"))
