"""A report as one HTML file that needs nothing else: no script, no style sheet, no font from anywhere."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from . import words
from .charts import draw_all
from .contents import CHARTS, contents
from .figures import Report

TEMPLATES = Path(__file__).parent / "templates"


def as_html(report: Report) -> bytes:
    """Write a report as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = [(*CHARTS[name], _inline(svg)) for name, svg in draw_all(report, "svg").items()]
    template = environment.get_template("report.html")
    return template.render(report=report, words=words, charts=charts, **contents(report)).encode()


def _inline(svg: bytes) -> Markup:
    """Return what stands within an HTML page: the element alone, as wide as its place. Names in it are drawn shapes."""
    text = svg.decode()
    element = text[text.index("<svg") :]
    element = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', element, count=1)
    return Markup(re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL))  # noqa: S704 - matplotlib's
