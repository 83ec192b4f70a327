"""How far a source has been read."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Until when everything was read, so that another query can go on from there."""
    op.add_column("sources", sa.Column("read_until", sqlmodel.UTCDateTime(), nullable=True))
