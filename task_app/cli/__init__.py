"""The command line door: `flask users …` and `flask broker …`."""

from flask import Flask

from . import broker, users


def init_app(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(users.group)
    app.cli.add_command(broker.group)
