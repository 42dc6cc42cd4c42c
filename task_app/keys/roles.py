"""What a key's owner may do."""

from enum import Enum
from functools import total_ordering


@total_ordering
class Role(Enum):
    """Three steps, each with all that the steps before may. Compare them: `visitor.role >= Role.OPERATOR`.

    Not a StrEnum: its members would compare by the alphabet.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def may(self) -> str:
        """What this step adds, for people."""
        return _MAY[self]

    def __lt__(self, other: object) -> bool:
        return _STEPS[self] < _STEPS[other] if isinstance(other, Role) else NotImplemented

    def __str__(self) -> str:
        return self.value


_MAY = {
    Role.VIEWER: "sees everything",
    Role.OPERATOR: "also submits, cancels, retries and resolves jobs, uploads files, and pauses queues",
    Role.ADMIN: "also manages keys, and deletes jobs and files for good",
}
_STEPS = {role: step for step, role in enumerate(Role)}
