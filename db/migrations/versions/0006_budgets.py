"""Budgets and health."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What platforms still let us ask, how busy each source is, and how its account does."""
    op.create_table(
        "budgets",
        sa.Column("platform", sqlmodel.AutoString(), nullable=False),
        sa.Column("owner", sqlmodel.AutoString(), nullable=False),
        sa.Column("kind", sqlmodel.AutoString(), nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=True),
        sa.Column("quota", sa.Integer(), nullable=True),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("resets_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.Column("window_seconds", sa.Float(), nullable=True),
        sa.Column("words", sqlmodel.AutoString(), nullable=False),
        sa.Column("told_at", sqlmodel.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("platform", "owner", "kind"),
    )
    op.create_table(
        "source_hours",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source_id", "hour"),
        sqlite_with_rowid=False,
    )
    for name in ("budget_owner", "budget_kind", "waits_for"):
        op.add_column("sources", sa.Column(name, sqlmodel.AutoString(), server_default="", nullable=False))
    op.add_column("sources", sa.Column("posts_per_hour", sa.Float(), nullable=True))
    op.add_column("sources", sa.Column("requests_a_run", sa.Float(), server_default="1", nullable=False))
    op.add_column("sources", sa.Column("interval_seconds", sa.Float(), nullable=True))
    for name in ("next_check_at", "saved_at", "expires_at", "refused_at", "dead_at"):
        op.add_column("platform_accounts", sa.Column(name, sqlmodel.UTCDateTime(), nullable=True))
    _count_the_last_weeks()


def _count_the_last_weeks() -> None:
    if op.get_bind().dialect.name == "sqlite":
        hour, since = "CAST(strftime('%s', posted_at) AS INTEGER) / 3600", "datetime('now', '-56 days')"
    else:
        hour, since = "CAST(floor(extract(epoch FROM posted_at) / 3600) AS INTEGER)", "now() - interval '56 days'"
    op.execute(
        f"INSERT INTO source_hours (source_id, hour, count) SELECT source_id, {hour}, count(*) "
        f"FROM mention_sources JOIN mentions ON mentions.id = mention_id WHERE posted_at >= {since} GROUP BY 1, 2"
    )
