"""Streams need no tables: a stream is a source, held by its lease, and its cursor is the source's."""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing."""
