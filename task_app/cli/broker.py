"""`flask broker`: the embedded broker."""

import click
from flask import current_app
from flask.cli import AppGroup

from .. import embedded

# Not a StartedGroup: asking for the broker must not start it.
group = AppGroup("broker", help="The embedded broker.")


@group.command()
def status() -> None:
    """Say whether the embedded broker runs; the exit code is 3 if it doesn't."""
    found = embedded.status(current_app.instance_path)
    if found is None:
        click.echo("The embedded broker does not run.")
        raise SystemExit(3)
    click.echo(f"The embedded broker runs: process {found.pid}, {found.clients} clients.")


@group.command()
def stop() -> None:
    """Stop the embedded broker. The next start brings back what it holds."""
    embedded.stop(current_app.instance_path)
    click.echo("The embedded broker does not run any more.")
