"""The taxonomy that people edit."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Ids of topics that are never given twice, the topics after each change, and corrections by field."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("topics", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
    op.create_table(
        "taxonomies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("words", sqlmodel.AutoString(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("at", sqlmodel.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_corrections_field", "corrections", ["field", "id"], unique=False)
