"""What people see and steer: rollups for charts, families, resolved failures, paused queues, and keys to sign in."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Spelled out here, not imported: a migration must stay what it was when it ran.
MYSQL = ("mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), *MYSQL)
MOMENT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), *MYSQL)
NAME = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), *MYSQL)


def _where(condition: str) -> dict[str, Any]:
    """Make an index partial where the database can."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    op.add_column("job", sa.Column("resolved_at", MOMENT))
    op.add_column("worker", sa.Column("memory", sa.BigInteger()))
    op.create_index("ix_job_error", "job", ["error_type", "created_at", "id"], **_where("error_type IS NOT NULL"))
    op.create_index("ix_job_finished", "job", ["finished_at"], **_where("finished_at IS NOT NULL"))
    op.drop_index("ix_job_parent", "job")
    op.create_index("ix_job_parent", "job", ["parent_id", "finished_at"], **_where("parent_id IS NOT NULL"))
    op.create_table(
        "rollup",
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("revoked", sa.Integer(), nullable=False),
        sa.Column("waits", LONG_TEXT, nullable=False),
        sa.Column("runs", LONG_TEXT, nullable=False),
        sa.Column("depth", sa.Integer()),
        sa.Column("oldest", sa.Double()),
        sa.PrimaryKeyConstraint("kind", "name", "seconds", "at", name=op.f("pk_rollup")),
    )
    op.create_index("ix_rollup_pruned", "rollup", ["seconds", "at"])
    op.create_table(
        "paused_queue",
        sa.Column("name", NAME, nullable=False),
        sa.Column("paused_at", MOMENT, nullable=False),
        sa.Column("paused_by", NAME),
        sa.Column("resumed_at", MOMENT),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_paused_queue")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
    )


def downgrade() -> None:
    op.drop_table("api_key")
    op.drop_table("paused_queue")
    op.drop_table("rollup")
    op.drop_index("ix_job_parent", "job")
    op.create_index(
        "ix_job_parent", "job", ["parent_id", "finished_at"], **_where("parent_id IS NOT NULL AND finished_at IS NULL")
    )
    op.drop_index("ix_job_finished", "job")
    op.drop_index("ix_job_error", "job")
    with op.batch_alter_table("worker") as worker:
        worker.drop_column("memory")
    with op.batch_alter_table("job") as job:
        job.drop_column("resolved_at")
