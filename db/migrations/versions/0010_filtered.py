"""What a run left out."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """How many posts a platform sent that the source's query did not mean."""
    op.add_column("source_runs", sa.Column("filtered", sa.Integer(), server_default="0", nullable=False))
