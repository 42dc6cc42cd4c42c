"""A key as it is read."""

from dataclasses import dataclass, field
from datetime import datetime

from .roles import Role


@dataclass(frozen=True)
class KeyView:
    """A key as it was at one moment. The key itself is kept nowhere."""

    id: str
    name: str
    role: Role
    digest: str = field(repr=False)
    created_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    @property
    def is_live(self) -> bool:
        """Say whether it still opens anything."""
        return self.revoked_at is None
