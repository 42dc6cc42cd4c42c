"""Jobs, their tags and groups, workers, users."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelled out here, not imported: a migration must stay what it was when it ran.
MYSQL = ("mysql", "mariadb")
JOB_ID = sa.String(155).with_variant(mysql.VARCHAR(155, charset="ascii", collation="ascii_bin"), *MYSQL)
NAME = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), *MYSQL)
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), *MYSQL)
MOMENT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), *MYSQL)


def _where(condition: str) -> dict[str, Any]:
    """Make an index partial where the database can."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", JOB_ID, nullable=False),
        sa.Column("task", NAME, nullable=False),
        sa.Column("args", LONG_TEXT, nullable=False),
        sa.Column("kwargs", LONG_TEXT, nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("rescues", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("progress", LONG_TEXT),
        sa.Column("result", LONG_TEXT),
        sa.Column("error_type", NAME),
        sa.Column("error", LONG_TEXT),
        sa.Column("history", LONG_TEXT),
        sa.Column("children", LONG_TEXT),
        sa.Column("tags", LONG_TEXT),
        sa.Column("message", LONG_TEXT),
        sa.Column("worker", NAME),
        sa.Column("worker_id", JOB_ID),
        sa.Column("parent_id", JOB_ID),
        sa.Column("root_id", JOB_ID),
        sa.Column("group_id", JOB_ID),
        sa.Column("blocked_by", NAME),
        sa.Column("publish_error", LONG_TEXT),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("expires_at", MOMENT),
        sa.Column("dispatch_at", MOMENT),
        sa.Column("published_at", MOMENT),
        sa.Column("started_at", MOMENT),
        sa.Column("cancel_requested_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
    )
    op.create_index("ix_job_created", "job", ["created_at", "id"])
    op.create_index("ix_job_state", "job", ["state", "created_at", "id"])
    op.create_index("ix_job_task", "job", ["task", "created_at", "id"])
    op.create_index("ix_job_queue", "job", ["queue", "created_at", "id"])
    op.create_index("ix_job_worker", "job", ["worker", "created_at", "id"])
    op.create_index("ix_job_dispatch", "job", ["dispatch_at"], **_where("dispatch_at IS NOT NULL"))
    op.create_index(
        "ix_job_held", "job", ["worker_id", "finished_at"], **_where("finished_at IS NULL AND worker_id IS NOT NULL")
    )
    op.create_index("ix_job_group", "job", ["group_id", "finished_at"], **_where("group_id IS NOT NULL"))

    op.create_table(
        "job_tag",
        sa.Column("tag", NAME, nullable=False),
        sa.Column("job_id", JOB_ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_job_tag_job_id_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tag", "job_id", name="pk_job_tag"),
    )
    op.create_index("ix_job_tag_newest", "job_tag", ["tag", "created_at", "job_id"])
    op.create_index("ix_job_tag_job", "job_tag", ["job_id"])

    op.create_table(
        "job_group",
        sa.Column("id", JOB_ID, nullable=False),
        sa.Column("size", sa.Integer()),
        sa.Column("result", LONG_TEXT),
        sa.Column("unjoined", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_group"),
    )
    op.create_index("ix_job_group_unjoined", "job_group", ["unjoined"], **_where("unjoined"))

    op.create_table(
        "worker",
        sa.Column("id", JOB_ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("host", NAME, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("pool", NAME, nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("queues", LONG_TEXT, nullable=False),
        sa.Column("running", LONG_TEXT, nullable=False),
        sa.Column("prefetched", LONG_TEXT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("heartbeat_at", MOMENT, nullable=False),
        sa.Column("stopped_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )
    op.create_index("ix_worker_heartbeat", "worker", ["heartbeat_at"])

    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("email", NAME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("email", name="uq_user_email"),
    )


def downgrade() -> None:
    for table in ("user", "worker", "job_group", "job_tag", "job"):
        op.drop_table(table)
