"""How Alembic runs: inside the app context that `flask db` (or the embedded start) brings."""

from typing import Any

from alembic import context
from flask import current_app

from task_app import startup


def run_offline() -> None:
    """Write the SQL instead of running it (`flask db upgrade --sql`)."""
    url = current_app.config["SQLALCHEMY_DATABASE_URI"]
    context.configure(url=url, target_metadata=_metadata(), literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations on the app's database."""
    if current_app.config["EMBEDDED_DATABASE"]:
        with startup.one_line_errors():
            startup.make_instance_folder(current_app)
    migrate = current_app.extensions["migrate"]
    engine = migrate.db.engine
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=_metadata(), **_options())
        with context.begin_transaction():
            context.run_migrations()


def _metadata() -> Any:
    return current_app.extensions["migrate"].db.metadata


def _options() -> dict[str, Any]:
    options: dict[str, Any] = dict(current_app.extensions["migrate"].configure_args)

    def skip_empty(revision_context: Any, revision: Any, directives: list[Any]) -> None:
        if directives and directives[0].upgrade_ops.is_empty():
            directives[:] = []

    options["process_revision_directives"] = skip_empty
    return options


if context.is_offline_mode():
    run_offline()
else:
    run_online()
