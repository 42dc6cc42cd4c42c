"""Reading from the web: public addresses only, in bounded time and memory.

Whoever reads a URL that somebody else has given does it through here. Needs the extra `gallery`.
"""

from .client import http_client
from .fetching import Fetched, fetch_bounded
from .places import WebAddress, problem_with_url

__all__ = ["Fetched", "WebAddress", "fetch_bounded", "http_client", "problem_with_url"]
