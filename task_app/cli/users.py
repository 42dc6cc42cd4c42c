"""`flask users`: who can be sent mail."""

import click

from ..errors import InvalidUser, UserExists
from ..startup import StartedGroup
from ..users import service

group = StartedGroup("users", help="Users who can be sent mail.")


@group.command()
@click.argument("name")
@click.argument("email")
def add(name: str, email: str) -> None:
    """Add a user."""
    try:
        user = service.add(name, email)
    except (InvalidUser, UserExists) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Added user {user.id}: {user.name} <{user.email}>")


@group.command("list")
def show() -> None:
    """List all users."""
    for user in service.everyone():
        click.echo(f"{user.id}\t{user.name}\t{user.email}")
