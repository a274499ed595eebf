"""Run by Alembic: migrations on the connection that `sipyard.storage.administration` hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_pk=False)
with context.begin_transaction():
    context.run_migrations()
