"""Files that jobs read and make."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Spelled out here, not imported: a migration must stay what it was when it ran.
MYSQL = ("mysql", "mariadb")
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), *MYSQL)
MOMENT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), *MYSQL)
NAME = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), *MYSQL)
JOB_ID = sa.String(155).with_variant(mysql.VARCHAR(155, charset="ascii", collation="ascii_bin"), *MYSQL)
FILE_ID = sa.String(40).with_variant(mysql.VARCHAR(40, charset="ascii", collation="ascii_bin"), *MYSQL)


def upgrade() -> None:
    op.add_column("job", sa.Column("artefacts", LONG_TEXT))
    op.create_table(
        "file",
        sa.Column("id", FILE_ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("size", sa.BigInteger()),
        sa.Column("sha256", sa.String(64)),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("made_by", JOB_ID),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
    )
    op.create_index("ix_file_created", "file", ["created_at", "id"])
    op.create_index("ix_file_state", "file", ["state", "seen_at"])
    op.create_table(
        "file_use",
        sa.Column("job_id", JOB_ID, nullable=False),
        sa.Column("file_id", FILE_ID, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE", name=op.f("fk_file_use_job_id_job")),
        sa.ForeignKeyConstraint(["file_id"], ["file.id"], ondelete="CASCADE", name=op.f("fk_file_use_file_id_file")),
        sa.PrimaryKeyConstraint("job_id", "file_id", "kind", name=op.f("pk_file_use")),
    )
    op.create_index("ix_file_use_file", "file_use", ["file_id"])


def downgrade() -> None:
    op.drop_table("file_use")
    op.drop_table("file")
    with op.batch_alter_table("job") as job:
        job.drop_column("artefacts")
