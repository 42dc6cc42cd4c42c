"""Headers that tell browsers what an answer may do, and what may be kept of it."""

import secrets

from flask import Flask, Response, g, request

#: For every answer. The referrer stays within: with none at all, browsers would call the origin of our forms "null".
COMMON = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
PAGES = (
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
#: A page may load what is ours and nothing else; a script in its text needs the nonce of this very answer.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'{nonce}; style-src 'self'{styles}; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Answers for programs are no pages, whatever a browser takes them for.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
YEAR = 365 * 24 * 3600


def init_app(app: Flask) -> None:
    """Put the headers on every answer of the app, and `csp_nonce` into templates."""
    app.after_request(add_headers)
    app.jinja_env.globals["csp_nonce"] = csp_nonce


def csp_nonce() -> str:
    """Return what a script in the text of this answer must carry as its `nonce`; templates call it."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    nonce: str = g.csp_nonce
    return nonce


def allow_inline_styles() -> None:
    """Loosen this answer's policy for a page that is not ours to write."""
    g.csp_styles = " 'unsafe-inline'"


def add_headers(response: Response) -> Response:
    """Add them; what a view has set itself stays."""
    headers = response.headers
    headers.extend(COMMON)
    if response.mimetype == "text/html":
        headers.extend(PAGES)
        headers.setdefault("Content-Security-Policy", _page_policy())
    else:
        headers.setdefault("Content-Security-Policy", DATA_POLICY)
    if request.is_secure:
        headers["Strict-Transport-Security"] = f"max-age={YEAR}"
    if request.endpoint == "dashboard.static" and request.query_string.startswith(b"v="):
        # The address names a version: what it leads to never changes.
        headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
    elif "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"
    return response


def _page_policy() -> str:
    nonce = f" 'nonce-{g.csp_nonce}'" if "csp_nonce" in g else ""
    return PAGE_POLICY.format(nonce=nonce, styles=g.get("csp_styles", ""))
