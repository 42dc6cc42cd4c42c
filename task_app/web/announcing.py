"""What a server says at its start: who must sign in, and how to make a key if there is none."""

from flask import current_app

from ..addresses import is_loopback
from ..keys import service
from .access import can_be_open

MAKE_A_KEY = "flask keys create NAME --role admin"


def who_may_come_in(host: str) -> str:
    """Return a line for the terminal of whoever started a server on this address. Needs an app context."""
    if current_app.config["AUTH"] == "off":
        who = "on this machine" if is_loopback(host) else "ON THE NETWORK"
        return f"AUTH is off: everybody {who} may do everything, without a key"
    if service.any_live():
        return f"everybody signs in with a key; another one: {MAKE_A_KEY}"
    if not can_be_open(current_app):
        return f"nobody can sign in yet; make a key: {MAKE_A_KEY}"
    elsewhere = "" if is_loopback(host) else "; nobody can sign in from elsewhere"
    return f"open on this machine{elsewhere}, until there is a key: {MAKE_A_KEY}"
