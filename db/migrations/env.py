"""Runs the revisions on the connection that `db.migrate` hands over, inside its transaction."""

from alembic import context

from db.tables import ALL

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=ALL,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
