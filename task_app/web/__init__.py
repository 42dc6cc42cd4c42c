"""What the doors over HTTP share.

| file | holds |
|---|---|
| `access` | who is asking, and may they: `guard`, `needs`, `visitor` |
| `origin` | where a request comes from |
| `announcing` | what a server says of it at its start |
| `attempts` | how often signing in failed |
| `headers` | what browsers are told besides |
| `problems` | how errors look |
| `watchers` | how many may watch at once |
| `submission` | what a submission, and edited arguments, must be |
| `uploads`, `downloads` | files on their way in and out |
| `strict_json` | how JSON is read |
| `streams` | server-sent events |
"""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ..keys import models
from . import access, headers, problems, watchers

__all__ = ["init_app", "models"]


def init_app(app: Flask) -> None:
    """Prepare the app for its doors; comes before them."""
    if proxies := app.config["TRUSTED_PROXIES"]:
        # Only the last so many entries count: what stands before them, anybody can have written.
        app.wsgi_app = ProxyFix(app.wsgi_app, proxies, proxies, proxies, 0, proxies)  # type: ignore[method-assign]
    problems.init_app(app)
    headers.init_app(app)
    access.init_app(app)
    watchers.init_app(app)
