"""Sessions in signed cookies, as Flask's own, that cost nothing where there is no cookie."""

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

COOKIE = "task_app"


class CookieSessions(SecureCookieSessionInterface):
    """Flask builds a signer for each request, to find that a program which submits jobs has sent no cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the cookie holds; without one, an empty session."""
        if app.secret_key and self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Keep the cookie to TLS where it was set over TLS."""
        return request.is_secure or super().get_cookie_secure(app)


def init_app(app: Flask) -> None:
    """Use them. Settings of Flask that the user has given stay."""
    app.session_interface = CookieSessions()
    given = app.extensions.get("setting_names", {})
    ours = {
        "SESSION_COOKIE_NAME": COOKIE,  # of several apps on one host, each has its own
        "SESSION_COOKIE_SAMESITE": "Lax",  # Strict would forget who follows a link from a mail
        "SESSION_REFRESH_EACH_REQUEST": False,  # a session ends when it was said to
    }
    app.config.update({name: value for name, value in ours.items() if name not in given})
