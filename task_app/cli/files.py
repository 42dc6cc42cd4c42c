"""`flask files`: what jobs read, and what they have made."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ..errors import FileInUse, FileNotFound, FilesUnavailable, FileTooLarge, FileTypeRefused
from ..files import service, sweeping
from ..startup import StartedGroup
from .output import ago, bytes_of, print_json, print_table

COLUMNS = ("id", "name", "size", "type", "came", "made by")
STANDARD = "-"
BATCH = 1000

group = StartedGroup("files", help="What jobs read, and what they have made.")


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the command with one line for what the user can mend."""
    try:
        yield
    except (FileNotFound, FileInUse, FileTooLarge, FileTypeRefused, FilesUnavailable) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'standard input or output'}: {error.strerror}") from None


@group.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=str))
@click.option("--name", help="Another name than the path's.")
@click.option("--type", "kind", help="A media type; else what the name suggests.")
def put(paths: tuple[str, ...], name: str | None, kind: str | None) -> None:
    """Keep files; prints their ids. - is standard input."""
    for path in paths:
        with clear_errors():
            source = sys.stdin.buffer if path == STANDARD else Path(path)
            click.echo(service.store(source, name, kind).id)


@group.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "wants_json", is_flag=True, help="For programs.")
def show_list(limit: int, wants_json: bool) -> None:
    """List files, newest first."""
    found, _ = service.page(limit=limit)
    if wants_json:
        print_json([file.document() for file in found])
        return
    rows = [
        (file.id, file.name, bytes_of(file.size), file.type, ago(file.created_at), file.made_by or "-")
        for file in found
    ]
    print_table(COLUMNS, rows)


@group.command()
@click.argument("file_id")
@click.argument("path", required=False)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def get(file_id: str, path: str | None, force: bool) -> None:
    """Write the bytes of a file to PATH, by default under its own name here. - is standard output."""
    with clear_errors(), service.open_file(file_id) as stream:
        if path == STANDARD:
            shutil.copyfileobj(stream, sys.stdout.buffer)
            return
        target = Path(path or service.info(file_id).name)
        with target.open("wb" if force else "xb") as copy:
            shutil.copyfileobj(stream, copy)
    click.echo(target)


@group.command()
@click.argument("file_ids", nargs=-1, required=True)
def delete(file_ids: tuple[str, ...]) -> None:
    """Remove files for good; not while a job that has not ended uses one."""
    for file_id in file_ids:
        with clear_errors():
            service.delete(file_id)


@group.command()
def prune() -> None:
    """Remove now what the sweeper would: what never ended, and what no job uses and is kept no longer."""
    removed, place = 0, sweeping.BEGINNING
    with clear_errors():
        while unfinished := sweeping.sweep_unfinished(BATCH):
            removed += unfinished
        while True:
            unused, place = sweeping.sweep_unused(BATCH, place)
            removed += unused
            if place == sweeping.BEGINNING:
                break
    click.echo(f"{removed} file{'' if removed == 1 else 's'} removed")
