"""What can go wrong, as one family of exceptions.

Nothing here knows HTTP, Celery or SQL: the doors decide how an error is shown.
"""


class TaskAppError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigurationError(TaskAppError):
    """A setting is wrong. Its text is one line that names the setting and shows no password."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem

    def __reduce__(self) -> tuple[type["ConfigurationError"], tuple[str, str]]:
        return type(self), (self.setting, self.problem)


class JobNotFound(TaskAppError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}")
        self.job_id = job_id


class JobExists(TaskAppError):
    """The id brought by the caller belongs to another job already."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} exists already")
        self.job_id = job_id


class IllegalMove(TaskAppError):
    """The job's state forbids what was asked for."""

    def __init__(self, job_id: str, action: str, state: str) -> None:
        super().__init__(f"can't {action} job {job_id}: it is {state}")
        self.job_id = job_id
        self.action = action
        self.state = state


class InputMissing(IllegalMove):
    """A job that never got its arguments from what it waited for can't be run without any."""

    def __init__(self, job_id: str, instead: str) -> None:
        super().__init__(job_id, "retry", f"without its input; {instead} or give its arguments")


class SessionHoldsLock(TaskAppError):
    """On SQLite, a job can't be submitted while the caller's own session has written and not committed."""

    def __init__(self) -> None:
        super().__init__(
            "db.session has written and not committed, and SQLite lets one connection write: "
            "commit first, or submit with delay_on_commit"
        )


class ValueNotStorable(TaskAppError):
    """A value can't be kept in the job table: not JSON, or larger than the configured limit."""


class ValueUnreadable(TaskAppError):
    """What the job table keeps can't be opened; the text names the job's column."""


class JobCancelled(TaskAppError):
    """Raised inside a running task whose job somebody asked to cancel."""


class Unpublishable(TaskAppError):
    """No message can be made of this job, however often it is tried."""


class BrokerUnavailable(TaskAppError):
    """The broker can't be reached. Jobs stay in the table and are published later."""


class MessageRefused(TaskAppError):
    """The broker answers, but not with a yes to this message. Its job stays in the table and is tried again later."""


class InvalidUser(TaskAppError):
    """A user's name or email address can't be right; the text says which."""


class UserExists(TaskAppError):
    """Another user has this email address."""

    def __init__(self, email: str) -> None:
        super().__init__(f"a user with the email address {email} exists already")
        self.email = email


class MailDelayed(TaskAppError):
    """A mail couldn't be handed over now; trying again later makes sense."""


class MailRefused(TaskAppError):
    """The mail server won't take this mail, however often it is tried."""


class AddressRefused(TaskAppError):
    """A URL leads where the service doesn't go: to no public address, or by something other than HTTP."""


class NotReached(TaskAppError):
    """A web server gave no answer, or not all of it; trying again later makes sense."""


class BadResponse(TaskAppError):
    """A web server's answer can't be used: it redirects without end, or isn't whose it should be."""


class ResponseTooLarge(TaskAppError):
    """A web server's answer has more bytes than are allowed."""


class InvalidKeyName(TaskAppError):
    """No key can have this name; the text says why."""


class KeyExists(TaskAppError):
    """A live key has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a key with the name {name} exists already; revoke it, or take another name")
        self.name = name


class KeyNotFound(TaskAppError):
    """No key has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no key with the name {name}")
        self.name = name


class FileNotFound(TaskAppError):
    """No file has this id, or its bytes are gone."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"there is no file {file_id}")
        self.file_id = file_id


class FileTooLarge(TaskAppError):
    """A file has more bytes than may be kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the file is larger than {limit} bytes (FILE_SIZE_LIMIT)")
        self.limit = limit


class FileTypeRefused(TaskAppError):
    """A file is of a type that may not come in."""

    def __init__(self, kind: str, allowed: str) -> None:
        super().__init__(f"files of the type {kind} are not accepted, only {allowed} (FILE_TYPES)")
        self.kind = kind


class FileInUse(TaskAppError):
    """A job that has not ended needs the file."""

    def __init__(self, file_id: str, job_id: str) -> None:
        super().__init__(f"can't delete file {file_id}: job {job_id} has not ended and uses it")
        self.file_id = file_id
        self.job_id = job_id


class FilesUnavailable(TaskAppError):
    """The store of files can't be reached; trying again later makes sense."""


class NotInJob(TaskAppError):
    """Only a running job can do this; there is none here."""


class UnusableInput(TaskAppError):
    """A file or a value that a task was given can't be used, however often it is tried; the text says why."""
