"""What Alembic runs: the scripts, on the connection that `migrations.upgrade` opened."""

from __future__ import annotations

from alembic import context

from study_app.store.orm import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
