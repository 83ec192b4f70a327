"""What mentions refer to."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The posts that mentions answer, quote or stand under, as they came along with them."""
    op.create_table(
        "mention_context",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mention_id", sa.Integer(), nullable=False),
        sa.Column("external_id", sqlmodel.AutoString(), nullable=False),
        sa.Column("author_id", sqlmodel.AutoString(), nullable=True),
        sa.Column("author_name", sqlmodel.AutoString(), nullable=False),
        sa.Column("url", sqlmodel.AutoString(), nullable=True),
        sa.Column("title", sqlmodel.AutoString(), nullable=True),
        sa.Column("text", sqlmodel.AutoString(), nullable=False),
        sa.Column("posted_at", sqlmodel.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["mention_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_mention_context_external_id"), "mention_context", ["external_id"], unique=False)
    op.create_index(op.f("ix_mention_context_mention_id"), "mention_context", ["mention_id"], unique=False)
