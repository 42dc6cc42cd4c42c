"""How a key is written: `taskapp_`, its public id, its secret.

All of it is hexadecimal, so that a double click selects it, and one pattern finds it wherever it was left by mistake:
`taskapp_[0-9a-f]{16}_[0-9a-f]{64}`.
"""

import hashlib
import hmac
import re
import secrets

PREFIX = "taskapp"
#: What secret scanners may look for.
PATTERN = re.compile(rf"{PREFIX}_([0-9a-f]{{16}})_([0-9a-f]{{64}})")


def new_id() -> str:
    """Return the part of a new key that is no secret."""
    return secrets.token_hex(8)


def new_secret() -> str:
    """Return 256 random bits. Nobody can guess them, so a plain digest is enough to keep."""
    return secrets.token_hex(32)


def key_text(key_id: str, secret: str) -> str:
    """Write a key."""
    return f"{PREFIX}_{key_id}_{secret}"


def parts_of(text: str) -> tuple[str, str] | None:
    """Return id and secret, or None for what can't be a key."""
    found = PATTERN.fullmatch(text)
    return None if found is None else (found[1], found[2])


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def fits(secret: str, digest: str) -> bool:
    """Say whether a secret belongs to a digest, in a time that tells nothing of how close it came."""
    return hmac.compare_digest(digest_of(secret), digest)
