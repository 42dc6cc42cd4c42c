"""Reads a form out of HTML and says what a browser would send, so that tests go through what people see."""

import re
from html.parser import HTMLParser

from werkzeug.datastructures import MultiDict

#: What browsers let stand in these inputs; anything else they drop.
SHAPES = {
    "number": re.compile(r"-?(\d+|\d*\.\d+)([eE][-+]?\d+)?"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "time": re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,3})?)?"),
    "datetime-local": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?"),
}
VOID = ("input", "br", "meta", "link", "hr", "img")


class HtmlForm(HTMLParser):
    """The inputs of the form that posts, by name, as they stand in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: MultiDict[str, str] = MultiDict()
        self.attributes: dict[str, dict[str, str | None]] = {}  # of each control, by name
        self.labels: dict[str, str] = {}  # by id
        self.texts: dict[str, str] = {}  # of elements with an id
        self.options: dict[str, list[str]] = {}
        self.unticked: set[str] = set()
        self._area = self._select = self._option = ""
        self._label = ""
        self._open: list[str] = []  # ids of the elements we are in
        self.feed(html.replace("\r\n", "\n").replace("\r", "\n"))  # as browsers read it
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag in ("input", "textarea", "select") and name:
            self.attributes[name] = given
        if tag == "input" and name:
            self._input(name, given)
        elif tag == "textarea":
            self._area = name
            self.values.add(name, "")
        elif tag == "select":
            self._select, self.options[name] = name, []
        elif tag == "option" and self._select:
            self.options[self._select].append(given.get("value") or "")
            if self._select not in self.values or "selected" in given:
                self.values.setlist(self._select, [given.get("value") or ""])
        elif tag == "label":
            self._label = given.get("for") or "?"
        if tag not in VOID:
            self._open.append(given.get("id") or "")

    def _input(self, name: str, given: dict[str, str | None]) -> None:
        kind = given.get("type", "text")
        if kind in ("checkbox", "radio"):
            if "checked" in given:
                self.values.add(name, given.get("value") or "on")
            else:
                self.unticked.add(name)
        else:
            value = given.get("value") or ""
            shape = SHAPES.get(kind or "")
            self.values.add(name, value if shape is None or shape.fullmatch(value) else "")

    def handle_data(self, data: str) -> None:
        if self._area:
            before = self.values.getlist(self._area)[-1]
            self.values.setlist(self._area, [before + data])
        if self._label:
            self.labels[self._label] = self.labels.get(self._label, "") + data
        for element in filter(None, self._open):
            self.texts[element] = self.texts.get(element, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            # Browsers drop the first line break, and send the others as two characters.
            text = self.values.getlist(self._area)[-1].removeprefix("\n")
            self.values.setlist(self._area, [text.replace("\n", "\r\n")])
            self._area = ""
        elif tag == "select":
            self._select = ""
        elif tag == "label":
            self._label = ""
        if tag not in VOID and self._open:
            self._open.pop()
