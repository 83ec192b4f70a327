"""Duplicates and spam."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What is folded under what, what is set aside, and from where on old mentions wait to be examined."""
    op.create_table(
        "wordings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sqlmodel.AutoString(), nullable=False),
        sa.Column("sample", sa.Boolean(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest", "sample"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_wordings_group_id", "wordings", ["group_id"])
    op.create_table(
        "wording_keys",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wording_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["wording_id"], ["wordings.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", "wording_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_wording_keys_wording_id", "wording_keys", ["wording_id"])
    op.create_table(
        "copies",
        sa.Column("mention_id", sa.Integer(), nullable=False),
        sa.Column("wording_id", sa.Integer(), nullable=False),
        sa.Column("personal", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["mention_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["wording_id"], ["wordings.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mention_id"),
    )
    op.create_index("ix_copies_wording_id", "copies", ["wording_id"])
    op.create_table(
        "copy_groups",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("original_id", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["original_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_copy_groups_original_id", "copy_groups", ["original_id"])
    op.create_table(
        "not_copies",
        sa.Column("mention_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("at", sqlmodel.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["mention_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("mention_id"),
    )
    op.create_table(
        "spam_verdicts",
        sa.Column("mention_id", sa.Integer(), nullable=False),
        sa.Column("spam", sa.Boolean(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("at", sqlmodel.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["mention_id"], ["mentions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("mention_id"),
    )
    op.add_column("mentions", sa.Column("set_aside", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column(
        "conversations", sa.Column("shelf", sqlmodel.AutoString(), server_default="", nullable=False)
    )
    op.add_column("conversations", sa.Column("copies", sa.Integer(), server_default="0", nullable=False))
    op.drop_index("ix_conversations_inbox", "conversations")
    op.create_index("ix_conversations_inbox", "conversations", ["state", "latest_at", "id", "shelf"])
    aside = sa.text("shelf = 'set_aside'")
    op.create_index(
        "ix_conversations_set_aside",
        "conversations",
        ["latest_at", "id", "shelf"],
        sqlite_where=aside,
        postgresql_where=aside,
    )
    op.add_column("workspace", sa.Column("unfolded_below", sa.Integer(), server_default="0", nullable=False))
    op.execute(
        "UPDATE workspace SET unfolded_below = COALESCE((SELECT max(id) + 1 FROM mentions WHERE NOT ours), 0)"
    )
