"""The command line door: `flask jobs`, `files`, `queues`, `workers`, `maintenance`, `broker`, `users` and `keys`."""

from flask import Flask

from . import broker, files, jobs, keys, maintenance, many, queues, showing, users, workers

__all__ = ["init_app", "many", "showing"]  # these two add commands to the group of jobs


def init_app(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(jobs.group)
    app.cli.add_command(files.group)
    app.cli.add_command(queues.group)
    app.cli.add_command(workers.group)
    app.cli.add_command(users.group)
    app.cli.add_command(keys.group)
    app.cli.add_command(broker.group)
    app.cli.add_command(maintenance.group)
