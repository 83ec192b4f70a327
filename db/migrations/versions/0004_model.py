"""What people said of the model."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What was corrected before was corrected in passing, whoever saw it.
    op.add_column("corrections", sa.Column("how", sqlmodel.AutoString(), nullable=False, server_default="passing"))
    op.add_column("corrections", sa.Column("certainty", sa.Float(), nullable=True))
    op.add_column("corrections", sa.Column("replaces_id", sa.Integer(), nullable=True))
