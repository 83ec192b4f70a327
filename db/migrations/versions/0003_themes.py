"""Themes."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was found, which mentions belong to it, and the searches themselves."""
    op.create_table(
        "theme_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sqlmodel.AutoString(), nullable=False),
        sa.Column("started_at", sqlmodel.UTCDateTime(), nullable=False),
        sa.Column("finished_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("lease_until", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("newest_mention_id", sa.Integer(), nullable=False),
        sa.Column("mentions", sa.Integer(), nullable=False),
        sa.Column("grouped", sa.Integer(), nullable=False),
        sa.Column("themes", sa.Integer(), nullable=False),
        sa.Column("words", sqlmodel.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "themes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sqlmodel.AutoString(), nullable=False),
        sa.Column("given_name", sqlmodel.AutoString(), nullable=True),
        sa.Column("phrases", sa.JSON(), nullable=False),
        sa.Column("centroid", sa.LargeBinary(), nullable=False),
        sa.Column("space", sqlmodel.AutoString(), nullable=False),
        sa.Column("cohesion", sa.Float(), nullable=False),
        sa.Column("note", sqlmodel.AutoString(), nullable=False),
        sa.Column("first_seen_at", sqlmodel.UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", sqlmodel.UTCDateTime(), nullable=False),
        sa.Column("dismissed_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("topic", sqlmodel.AutoString(), nullable=True),
        sa.Column("item_id", sa.Integer(), nullable=True),
        sa.Column("sample", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["feedback_items.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_themes_item_id"), "themes", ["item_id"], unique=False)
    op.create_index("ix_themes_seen", "themes", ["dismissed_at", "last_seen_at"], unique=False)
    op.create_table(
        "theme_mentions",
        sa.Column("mention_id", sa.Integer(), nullable=False),
        sa.Column("theme_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("quote", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["mention_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["theme_id"], ["themes.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mention_id"),
    )
    op.create_index("ix_theme_mentions_theme", "theme_mentions", ["theme_id", "mention_id"], unique=False)
