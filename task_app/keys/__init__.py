"""Keys: who may use the service, and as what.

| file | holds |
|---|---|
| `roles` | viewer, operator, admin |
| `service` | create, list, revoke, find |
| `text` | how a key is written, and what is kept of it |
| `memory` | keys that were looked up within the last second |
| `models`, `view` | the table `api_key`; a key as it is read |
"""

from . import models

__all__ = ["models"]
