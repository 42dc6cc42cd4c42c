"""The command line door: `flask users …`, `flask broker …` and `flask maintenance …`."""

from flask import Flask

from . import broker, maintenance, users


def init_app(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(users.group)
    app.cli.add_command(broker.group)
    app.cli.add_command(maintenance.group)
