"""What a platform allows one account."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What an account's last check said of its platform's limits, such as how long an answer may be there."""
    op.add_column("platform_accounts", sa.Column("limits", sa.JSON(), nullable=False, server_default="{}"))
