"""Commands that submit the same as a form or a job: curl, `flask jobs submit`, Python.

They are for people to copy, so each must mean in a shell exactly what the page shows. Quoting is for POSIX shells
(sh, bash, zsh). Keys are never part of them: `$TASK_APP_KEY` is for who runs the command to set.
"""

import keyword
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import celery

from ..jobs.view import JobView
from ..mirror.arguments import schema_of
from ..mirror.fields import from_form
from ..mirror.public import UnknownTask, find_task
from .forms.controls import as_text
from .forms.job import OPTION_GROUPS, body_of

#: Bytes of a body that still go into a command; Linux takes 128 KiB as one argument, and nobody reads so much.
LONGEST_BODY = 50_000
#: More of a command than this is not put before people's eyes; it can still be copied.
SHOWN = 4_000

_OF_CLI = {
    "queue": "--queue",
    "priority": "--priority",
    "countdown": "--countdown",
    "eta": "--eta",
    "expires": "--expires",
    "task_id": "--id",
    "max_retries": "--max-retries",
    "soft_time_limit": "--soft-time-limit",
    "time_limit": "--time-limit",
}
#: What the client's `submit` takes besides arguments of the task.
_OPTIONS = {name for _, names in OPTION_GROUPS for name in names} | {"expires"}
_KEY = '-H "Authorization: Bearer $TASK_APP_KEY"'
_PICK = "import json, sys; job = json.load(sys.stdin); json.dump({{name: job[name] for name in {}}}, sys.stdout)"
_CALL = ("task", "args", "kwargs")


@dataclass(frozen=True, slots=True)
class Command:
    """A command under the name of what runs it."""

    id: str
    name: str
    text: str

    @property
    def shown(self) -> str:
        """The command, or its beginning."""
        return self.text if self.is_short else f"{self.text[:SHOWN]} …"

    @property
    def is_short(self) -> bool:
        """Say whether all of it is shown."""
        return len(self.text) <= SHOWN


def commands(body: Mapping[str, Any], base_url: str, *, needs_key: bool) -> list[Command]:
    """Return the commands for the body of `POST /tasks`; none if it is too long for them."""
    if is_too_long(body):
        return []
    found = [
        Command("command-curl", "curl", curl(body, base_url, needs_key=needs_key)),
        Command("command-flask", "flask jobs", flask_jobs(body)),
        Command("command-python", "Python", python_call(body)),
        Command("command-client", "Another program", python_client(body, base_url, needs_key=needs_key)),
    ]
    return [command for command in found if command.text]


def is_too_long(body: Mapping[str, Any]) -> bool:
    """Say whether a body is too long for a command."""
    return len(as_text(body).encode()) > LONGEST_BODY


def curl(body: Mapping[str, Any], base_url: str, *, needs_key: bool = False) -> str:
    """Return the curl command that posts a body to `/tasks`."""
    return _post(base_url, f"-d {shlex.quote(as_text(body))}", needs_key=needs_key)


def curl_for_job(job: JobView, base_url: str, *, needs_key: bool = False) -> str:
    """Return the curl command that submits the same as this job again; it makes a new job.

    One whose arguments are too long for a command gets them from the service.
    """
    body = body_of(job)
    if not is_too_long(body):
        return curl(body, base_url, needs_key=needs_key)
    url = shlex.quote(f"{base_url}/tasks/{quote(job.id, safe='')}")
    lines = [f"curl -s {url}{f' {_KEY}' if needs_key else ''}", f"python3 -c {shlex.quote(_PICK.format(list(body)))}"]
    return " |\n".join([*lines, _post(base_url, "--data-binary @-", needs_key=needs_key)])


def _post(base_url: str, data: str, *, needs_key: bool) -> str:
    lines = [f"curl -X POST {shlex.quote(f'{base_url}/tasks')}", "  -H 'Content-Type: application/json'", f"  {data}"]
    return " \\\n".join([lines[0], *[f"  {_KEY}"] * needs_key, *lines[1:]])


def flask_jobs(body: Mapping[str, Any]) -> str:
    """Return the `flask jobs submit` command."""
    words = ["flask", "jobs", "submit", body["task"]]
    kwargs = body.get("kwargs", {})
    pairs = _pairs(body["task"], kwargs)
    if pairs is None:
        words += ["--kwargs", as_text(kwargs)]
    else:
        words += pairs
    if body.get("args"):
        words += ["--args", as_text(body["args"])]
    for name, option in _OF_CLI.items():
        if name in body:
            words += [option, as_text(body[name]) if not isinstance(body[name], str) else body[name]]
    words += [f"--tag={tag}" for tag in body.get("tags", ())]
    left_out = [name for name in body if name not in (*_CALL, *_OF_CLI, "tags")]
    comment = f"# without {', '.join(left_out)}, for which there are no options\n" if left_out else ""
    return comment + shlex.join(words)


def python_call(body: Mapping[str, Any]) -> str:
    """Return the Python lines that submit from within the app; empty for a task that can't be imported."""
    task = _task(body["task"])
    function = getattr(task, "__name__", "")
    found = getattr(sys.modules.get(task.__module__), function, None) if task else None
    if task is None or not isinstance(found, celery.Task) or found.name != task.name:
        return ""
    args, kwargs, options = body.get("args", []), body.get("kwargs", {}), _options(body)
    line = f"from {task.__module__} import {function}\n\n"
    if not options and _are_names(kwargs):
        return f"{line}{function}.delay({', '.join([*map(repr, args), *_named(kwargs)])})"
    written = [f"args={args!r}"] * bool(args) + [f"kwargs={kwargs!r}"] * bool(kwargs)
    written += [f"{name}={_python(name, value)}" for name, value in options.items()]
    call = f"{function}.apply_async({', '.join(written)})"
    return ("from datetime import datetime\n\n" if "datetime." in call else "") + line + call


def python_client(body: Mapping[str, Any], base_url: str, *, needs_key: bool) -> str:
    """Return the Python lines that submit over HTTP with the client of this package."""
    args, kwargs, options = body.get("args", []), body.get("kwargs", {}), _options(body)
    if _are_names(kwargs) and not kwargs.keys() & _OPTIONS:
        written = [repr(body["task"]), *map(repr, args), *_named(kwargs)]
        written += [f"{name}={_python(name, value)}" for name, value in options.items()]
        call = f"job = client.submit({', '.join(written)})"
    else:
        call = f"[job_id] = client.submit_many([{dict(body)!r}])"
    imports = ["import os"] * needs_key + ["from datetime import datetime"] * ("datetime." in call)
    key = ', os.environ["TASK_APP_KEY"]' if needs_key else ""
    return "\n".join(
        [
            *imports,
            *[""] * bool(imports),
            "from task_app.client import JobsClient",
            "",
            f"client = JobsClient({base_url!r}{key})",
            call,
        ]
    )


def _pairs(name: str, kwargs: Mapping[str, Any]) -> list[str] | None:
    """Return NAME=VALUE words that the command line reads as these arguments; None if it would read others."""
    task = _task(name)
    if task is None:
        return None
    known = schema_of(task).fields
    words: list[str] = []
    for key, value in kwargs.items():
        texts = [_word(item) for item in value] if isinstance(value, list) else [_word(value)]
        if "=" in key or not key or not texts or as_text(from_form(known.get(key), texts)) != as_text(value):
            return None
        words += [f"{key}={text}" for text in texts]
    return words if all(word.isprintable() and not word.startswith("-") for word in words) else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else as_text(value)


def _task(name: str) -> celery.Task | None:
    try:
        return find_task(name)
    except UnknownTask:
        return None


def _are_names(kwargs: Mapping[str, Any]) -> bool:
    return all(name.isidentifier() and not keyword.iskeyword(name) for name in kwargs)


def _named(kwargs: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value!r}" for name, value in kwargs.items()]


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _CALL}


def _python(name: str, value: Any) -> str:
    is_moment = name in ("eta", "expires") and isinstance(value, str)
    return f"datetime.fromisoformat({value!r})" if is_moment else repr(value)
