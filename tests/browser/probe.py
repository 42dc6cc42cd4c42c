"""The service with one page more, whose content is a file of the test: to see live.js apart from real pages."""

import json
from pathlib import Path
from typing import Any

from flask import Response, current_app, render_template_string, request
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from task_app.dashboard import live
from task_app.wsgi import app

__all__ = ["app"]

#: As docs/decisions/0004 has it.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<link rel="icon" href="data:,">
<script type="module" src="/assets/js/live.js"></script></head>
<body data-live-url="{{ g.live_url }}" data-live-seen="{{ g.live_seen }}">
<span id="live-mark" role="status" aria-live="polite" data-state="off">Not live</span>
<input id="outside" aria-label="outside">
{% for id, html in regions.items() %}<section data-live id="{{ id }}">{{ html }}</section>{% endfor %}
</body></html>"""


def content() -> dict[str, Any]:
    """Return what the test has written: `title`, `regions` by id, and the `status` for live.js."""
    found: dict[str, Any] = json.loads(Path(current_app.instance_path, "probe.json").read_text(encoding="utf-8"))
    return found


@live.watches("probe")
def look_at_probe(args: MultiDict[str, str]) -> live.Watching:
    """Look at the file."""
    path = Path(current_app.instance_path, "probe.json")
    return None, lambda connection: path.read_text(encoding="utf-8")


@app.route("/probe")
def probe() -> Response:
    """Show the file."""
    live.begin("probe")
    shown = content()
    regions = {name: Markup(html) for name, html in shown["regions"].items()}
    page = render_template_string(PAGE, title=shown.get("title", "Probe"), regions=regions)
    status = shown.get("status", 200) if "X-Live" in request.headers else 200
    return Response(page, status, headers={"Content-Security-Policy": POLICY})
