"""What is in a page: its title and its links, out of whatever bytes a server has sent."""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx
from selectolax.lexbor import LexborHTMLParser

from ...errors import BadResponse
from ...outbound import Fetched, problem_with_url

TITLE_LENGTH = 200
URL_LENGTH = 2000
#: Links of one page that are looked at.
LINKS = 2000
#: Elements within each other. The parser's time grows with the square; browsers stop at 512.
DEPTH = 5000

HTML = ("text/html", "application/xhtml+xml")
#: Encodings of text, by the beginning of the names that Python has for them; some of its others are traps.
ENCODINGS = ("utf-8", "utf-16", "ascii", "iso8859", "cp125", "koi8", "gb", "big5", "shift_jis", "euc", "iso2022_jp")
ENCODINGS_OF_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DEFAULT_PORTS = {"http": 80, "https": 443}

_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.ASCII | re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")
#: Elements without content, or closed by the next of their kind: they don't lie within each other.
_SHALLOW = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "param",
    "source",
    "track",
    "wbr",
}
_SHALLOW |= {"p", "li", "dd", "dt", "tr", "td", "th", "thead", "tbody", "tfoot"}


@dataclass(frozen=True, slots=True)
class Page:
    """What was found in a page."""

    title: str | None
    links: list[str]  # normalised, each once, in their order


def is_html(response: httpx.Response) -> bool:
    """Say whether a response is worth reading."""
    return response.status_code < 400 and _kind_of(response.headers) in HTML


def read(fetched: Fetched) -> Page | None:
    """Read a page; None if it is no HTML. Raises BadResponse for one that would keep the parser busy for long."""
    if _kind_of(fetched.headers) not in HTML:
        return None
    text = decode(fetched.body, fetched.headers.get("Content-Type", ""))
    if _depth(text) > DEPTH:
        raise BadResponse(f"{fetched.url}: more than {DEPTH} elements within each other")
    tree = LexborHTMLParser(text)
    title = next((_line(node.text()) for node in tree.tags("title")), None)
    base = next((href for node in tree.tags("base") if (href := node.attributes.get("href"))), "")
    return Page(title or None, list(dict.fromkeys(_links(tree, _join(fetched.url, base) or fetched.url))))


def normalise(url: str) -> str | None:
    """Write a URL as all that lead to the same page are written: no fragment, no default port, a path.

    None for what is no URL of the web, and for one that is overlong.
    """
    if len(url) > URL_LENGTH or problem_with_url(url) is not None:
        return None
    parts = httpx.URL(url)
    host, port = parts.raw_host.decode(), parts.port
    host = f"[{host}]" if ":" in host else host
    place = host if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    text = f"{parts.scheme}://{place}{parts.raw_path.decode()}"
    return text if len(text) <= URL_LENGTH else None


def decode(body: bytes, content_type: str) -> str:
    """Turn bytes into text as browsers do: a mark at the beginning, the header, the page's own word, a guess."""
    for mark, encoding in ENCODINGS_OF_MARKS:
        if body.startswith(mark):
            return body.decode(encoding, errors="replace")
    header, meta = _CHARSET.search(content_type), _META_CHARSET.search(body, 0, 2048)
    for name in (header and header[1], meta and meta[1].decode("ascii", errors="replace")):
        if name and (known := _encoding(name)):
            return body.decode(known, errors="replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        # What was cut off in the middle of a letter is UTF-8 all the same.
        return body.decode("utf-8" if error.start > len(body) - 4 else "cp1252", errors="replace")


def _encoding(name: str) -> str | None:
    with suppress(LookupError, ValueError):
        known = codecs.lookup(name.strip().lower()).name
        if known.startswith(ENCODINGS):
            return "cp1252" if known in ("iso8859-1", "ascii") else known  # as browsers read them
    return None


def _kind_of(headers: httpx.Headers) -> str:
    return str(headers.get("Content-Type", "text/html")).partition(";")[0].strip().lower()


def _depth(text: str) -> int:
    """Return how deep elements may lie within each other; a guess from above."""
    depth = deepest = 0
    for tag in _TAG.finditer(text):
        if tag[2].lower() not in _SHALLOW:
            depth = max(0, depth - 1) if tag[1] else depth + 1
            deepest = max(deepest, depth)
    return deepest


def _links(tree: LexborHTMLParser, base: str) -> Iterator[str]:
    nodes = [*tree.tags("a"), *tree.tags("area")]
    for node in nodes[:LINKS]:
        href = node.attributes.get("href")
        link = _join(base, href) if href else None
        if link is not None:
            yield link


def _join(base: str, href: str) -> str | None:
    if len(href) > URL_LENGTH:
        return None
    try:
        return normalise(urljoin(base, href.strip()))
    except ValueError:
        return None


def _line(text: str) -> str:
    """Make one line of printable text of whatever a title holds."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text[: 10 * TITLE_LENGTH])
    return " ".join(printable.split())[:TITLE_LENGTH]
