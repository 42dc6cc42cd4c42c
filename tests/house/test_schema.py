"""The migrations and the models say the same, on every database."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade

from task_app import MIGRATIONS
from task_app.extensions import db


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


def test_migrations_make_what_the_models_say(every_database: Flask) -> None:
    with every_database.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_migrations_can_be_undone(app: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    with app.app_context():
        downgrade(revision="base")
        upgrade()
