"""Files that are chosen in a form: kept when it is sent. From then on their ids stand in it, whatever else is wrong."""

from collections.abc import Iterable
from contextlib import suppress

from werkzeug.datastructures import FileStorage, MultiDict

from ...errors import FileNotFound, FilesUnavailable, FileTooLarge, FileTypeRefused
from ...files import service
from ...files.view import FileInfo
from ...jobs.file_uses import named_in
from ...jobs.view import JobView
from ..words import size
from .field import FormField

#: Stands after the name of a field in the name of its input for files.
SUFFIX = ":upload"


def take_uploads(
    fields: Iterable[FormField], files: MultiDict[str, FileStorage], sent_before: JobView | None = None
) -> None:
    """Keep the files that were chosen, and put their ids into the fields. What is refused is said beside the field.

    A form that is sent twice brings its files twice: what the job of the first time has already is not kept again.
    """
    known = _files_of(sent_before)
    for field in fields:
        chosen = [file for file in files.getlist(field.key + SUFFIX) if file.filename]
        if not field.uploads or not chosen:
            continue
        try:
            _put(field, [_keep(file, known) for file in (chosen if field.uploads == "many" else chosen[-1:])])
        except (FileTooLarge, FileTypeRefused, FilesUnavailable) as error:
            field.refuse_for_good(f"{str(error)[:1].upper()}{str(error)[1:]}.")


def _keep(file: FileStorage, known: Iterable[FileInfo]) -> FileInfo:
    stored = service.store(file.stream, file.filename, file.content_type)
    for same in known:
        if (same.sha256, same.name, same.type) == (stored.sha256, stored.name, stored.type):
            service.delete(stored.id)
            return same
    return stored


def _files_of(job: JobView | None) -> list[FileInfo]:
    found = []
    for file_id in sorted(named_in(job.args_json, job.kwargs_json)) if job else ():
        with suppress(FileNotFound):
            found.append(service.info(file_id))
    return found


def _put(field: FormField, stored: list[FileInfo]) -> None:
    ids = [file.id for file in stored]
    if field.uploads == "many":
        typed = field.value()
        field.fill([*(typed if isinstance(typed, list) else []), *ids])
    else:
        field.fill(ids[0])
    field.stored = [f"{file.name} ({size(file.size)})" for file in stored]
