"""Markup piece by piece. Whatever is not `Markup` already is escaped, so that a task's name stays text.

The only place of this package that makes `Markup` of text (S704): tags and attribute names are the code's own
words, and children and values go through `escape`.
"""

from typing import Any

from markupsafe import Markup, escape

#: Attributes whose names Python can't write.
_NAMES = {"class_": "class", "for_": "for", "view_box": "viewBox", "aspect": "preserveAspectRatio"}


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """Write an element. Attributes that are None or False are left out; `data_at` is written as `data-at`."""
    words = [name, *(_attribute(key, value) for key, value in attributes.items() if value is not None)]
    start = Markup(" ").join(Markup(word) for word in words if word)  # noqa: S704
    inside = Markup("").join(escape(child) for child in children if child is not None)
    return Markup(f"<{start}>{inside}</{name}>")  # noqa: S704


def void(name: str, **attributes: Any) -> Markup:
    """Write an SVG element without content."""
    written = tag(name, **attributes)
    return Markup(f"{written.removesuffix(f'></{name}>')}/>")  # noqa: S704


def _attribute(key: str, value: Any) -> str:
    if value is False:
        return ""
    name = _NAMES.get(key) or key.replace("_", "-")
    if value is True:
        return name
    return f'{name}="{short(value) if isinstance(value, float) else escape(value)}"'


def short(value: float, digits: int = 2) -> str:
    """Write a coordinate without needless digits: 12.50 is 12.5, -0.0 is 0."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
    return "0" if text == "-0" else text


def percent(share: float) -> str:
    """Write a place on an axis that stretches with the page."""
    return f"{short(100 * share)}%"


def joined(*numbers: int) -> str:
    """Write the numbers of a path with as few separators as it understands: `1-5`, `1 5`."""
    return "".join(str(n) if n < 0 or not i else f" {n}" for i, n in enumerate(numbers))
