"""Keys: who may use the service, and as what."""

from . import models

__all__ = ["models"]
