"""Duties and backfill."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """When mentions were last given anew, who asks about those whose source is gone, and when each duty was met."""
    op.add_column("mentions", sa.Column("confirmed_at", sqlmodel.UTCDateTime(), nullable=True))
    op.create_table(
        "left_mentions",
        sa.Column("mention_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["mention_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mention_id"),
    )
    op.create_index("ix_left_mentions_source", "left_mentions", ["source_id", "mention_id"])
    op.create_table(
        "duties",
        sa.Column("platform", sqlmodel.AutoString(), nullable=False),
        sa.Column("duty", sqlmodel.AutoString(), nullable=False),
        sa.Column("met_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("failed_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("words", sqlmodel.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "duty"),
    )
    op.create_table(
        "exports",
        sa.Column("platform", sqlmodel.AutoString(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "day"),
    )
