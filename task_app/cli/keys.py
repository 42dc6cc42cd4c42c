"""`flask keys`: who may use the service over HTTP, and as what. Whoever can run this needs no key."""

import click

from ..errors import InvalidKeyName, KeyExists, KeyNotFound
from ..jobs.view import timestamp
from ..keys import service
from ..keys.roles import Role
from ..keys.view import KeyView
from ..startup import StartedGroup
from .output import ago, print_json, print_table

COLUMNS = ("name", "role", "begins with", "made", "used", "revoked")

group = StartedGroup("keys", help="Who may use the service over HTTP, and as what.")


@group.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="; ".join(f"{role}: {role.may}" for role in Role) + ".",
)
def create(name: str, role: str) -> None:
    """Make a key. It alone is on standard output, this once; it is kept nowhere."""
    try:
        key, text = service.create(name, Role(role))
    except (InvalidKeyName, KeyExists) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The key {key.name} ({key.role}). Keep it well: it is shown this once and kept nowhere.", err=True)
    click.echo("Programs send it as `Authorization: Bearer …`, people paste it at /sign-in.", err=True)
    click.echo(text)


@group.command("list")
@click.option("--json", "wants_json", is_flag=True, help="For programs.")
def show_list(wants_json: bool) -> None:
    """List all keys, the live ones first."""
    keys = service.everyone()
    if wants_json:
        print_json([_document(key) for key in keys])
        return
    rows = [
        (key.name, str(key.role), f"taskapp_{key.id}", ago(key.created_at), ago(key.used_at), ago(key.revoked_at))
        for key in keys
    ]
    print_table(COLUMNS, rows)


@group.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End a key for good: within a second it opens nothing any more."""
    try:
        key = service.revoke(name)
    except KeyNotFound as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The key {key.name} is revoked.")


def _document(key: KeyView) -> dict[str, str | None]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "created_at": timestamp(key.created_at),
        "used_at": timestamp(key.used_at),
        "revoked_at": timestamp(key.revoked_at),
    }
