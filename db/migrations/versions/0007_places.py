"""Webhooks and notes."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Addresses that other programs send to, what they sent, and who noted what a customer said."""
    op.create_table(
        "hooks",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("token", sqlmodel.AutoString(), nullable=False),
        sa.Column("scheme", sqlmodel.AutoString(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("old_secret", sa.LargeBinary(), nullable=True),
        sa.Column("old_until", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("layout", sa.JSON(), nullable=False),
        sa.Column("paths", sa.JSON(), nullable=False),
        sa.Column("confirmed_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("refused_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("refused", sqlmodel.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source_id"),
        sa.UniqueConstraint("token"),
    )
    op.create_table(
        "hook_deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sqlmodel.AutoString(), nullable=False),
        sa.Column("nonce", sqlmodel.AutoString(), nullable=False),
        sa.Column("apart", sa.Boolean(), nullable=False),
        sa.Column("received_at", sqlmodel.UTCDateTime(), nullable=False),
        sa.Column("state", sqlmodel.AutoString(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.Column("edited", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("rejections", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_id", "delivery_id"),
        sa.UniqueConstraint("source_id", "nonce"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hook_deliveries_source", "hook_deliveries", ["source_id", "id"])
    op.create_index("ix_hook_deliveries_state", "hook_deliveries", ["state", "source_id"])
    op.create_table(
        "notes",
        sa.Column("mention_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("heard", sqlmodel.AutoString(), nullable=False),
        sa.Column("noted_at", sqlmodel.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["mention_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("mention_id"),
    )
