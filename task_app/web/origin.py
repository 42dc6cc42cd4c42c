"""Where a request comes from: this machine, our own pages, or elsewhere."""

import re
from urllib.parse import urlsplit

from flask import Request

from ..addresses import is_loopback

_LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
#: What proxies and tunnels add. Not complete, and can't be: who puts a proxy before an open service says AUTH=required.
_FORWARDING = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED",
    "HTTP_X_ORIGINAL_",
    "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP",
    "HTTP_X_CLUSTER_CLIENT_IP",
    "HTTP_X_ENVOY_",
    "HTTP_X_PROXYUSER_IP",
    "HTTP_TRUE_CLIENT_IP",
    "HTTP_CLIENT_IP",
    "HTTP_CF_",
    "HTTP_FASTLY_CLIENT_IP",
    "HTTP_FLY_CLIENT_IP",
    "HTTP_TAILSCALE_",
    "HTTP_VIA",
)


def is_local(request: Request) -> bool:
    """Say whether somebody on this machine asks this machine, and nobody in between passes it on.

    The Host header counts too: a hostile page whose name was made to point at 127.0.0.1 has a name of its own there.
    """
    host = request.headers.get("Host", "")
    return (
        is_loopback(request.remote_addr)
        and _LOCAL_HOST.fullmatch(host) is not None
        and not any(name.startswith(_FORWARDING) for name in request.environ)
    )


def is_from_elsewhere(request: Request) -> bool:
    """Say whether a browser sends this on behalf of a page that isn't ours.

    Browsers say so themselves, in headers that no script can set. Programs that are no browsers send neither.
    """
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and _host_of(origin) != request.host.lower()


def _host_of(origin: str) -> str | None:
    """Return host and port of an origin as the Host header has them; None for "null" and what is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
