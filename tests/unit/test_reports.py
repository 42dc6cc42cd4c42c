"""Reports of jobs as pages: what they say, and that no name breaks out of its place."""

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fpdf")
pytest.importorskip("matplotlib")

from task_app.gallery.reports import words
from task_app.gallery.reports.contents import contents
from task_app.gallery.reports.figures import Failures, Report, Step
from task_app.gallery.reports.html import as_html
from task_app.gallery.reports.pdf import as_pdf
from task_app.jobs.figures import Figures, Percentiles

END = datetime(2026, 3, 2, tzinfo=UTC)
START = END - timedelta(days=1)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "$x^2$ \\frac",
    "**bold** __under__",
    "отправить 提交 🚀 \u202eevil",
    "line\nbreak\x00\x1b[31m",
    "x" * 300,
    " ",
    "[link](http://example.com)",
]


def figures(succeeded: int = 90, failed: int = 10, revoked: int = 1, run: float | None = 0.5) -> Figures:
    ran = None if run is None else Percentiles(run, 2 * run, 3 * run)
    return Figures(succeeded=succeeded, failed=failed, revoked=revoked, wait=ran, run=ran, depth=None, oldest=None)


def failure(name: str = "TimeoutError", number: int = 3) -> Failures:
    return Failures(
        error=name, task=f"task of {name}", count=number, first_at=START, last_at=END, newest="1", message=name
    )


def report(**values: Any) -> Report:
    usual: dict[str, Any] = {
        "title": "Background jobs",
        "start": START,
        "end": END,
        "made_at": END,
        "filters": {},
        "total": figures(),
        "seconds": 3600,
        "steps": [Step(at=START + timedelta(hours=hour), figures=figures() if hour else None) for hour in range(24)],
        "tasks": {"add": figures(), "never_ran": figures(run=None)},
        "tasks_left_out": 0,
        "failures": [failure()],
        "failures_left_out": 0,
        "notes": [],
    }
    return Report(**(usual | values))


NOTHING = {
    "total": figures(0, 0, 0, None),
    "steps": [Step(at=START + timedelta(hours=hour), figures=None) for hour in range(24)],
    "tasks": {},
    "failures": [],
}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text outside of them."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(pdf: bytes, folder: Path) -> list[str]:
    """Return the text of each page, read by another program than the one that wrote it."""
    program = shutil.which("pdftotext")
    if program is None:
        pytest.skip("there is no pdftotext")
    (folder / "report.pdf").write_bytes(pdf)
    command = [program, "-layout", str(folder / "report.pdf"), "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.rstrip("\f").split("\f")


def test_a_page_says_what_happened() -> None:
    page = Page(as_html(report()))
    for said in (
        "Background jobs",
        "2026-03-01 00:00 to 2026-03-02 00:00 UTC",
        "101",
        "89.1 %",
        "TimeoutError",
        "500 ms",
    ):
        assert said in page.text
    assert [tag for tag, _ in page.elements].count("svg") == 3


def test_a_pdf_says_what_happened(tmp_path: Path) -> None:
    first, *more = text_of(as_pdf(report()), tmp_path)
    for said in ("Background jobs", "2026-03-01 00:00 to 2026-03-02 00:00 UTC", "101", "89.1 %", "500 ms"):
        assert said in first
    assert "TimeoutError" in "".join(more)


def test_tables_go_on_over_pages_with_their_head(tmp_path: Path) -> None:
    failures = [failure(f"Error{number}") for number in range(90)]
    pages = text_of(as_pdf(report(failures=failures)), tmp_path)
    assert len(pages) > 3
    assert all("Message of the last" in page for page in pages[1:] if "Error" in page)
    assert "\n".join(pages).count("task of Error") == 90
    assert [re.findall(r"(\d+) ?/ ?(\d+)\s*$", page) for page in pages] == [
        [(str(number), str(len(pages)))] for number in range(1, len(pages) + 1)
    ]


def test_nothing_happened(tmp_path: Path) -> None:
    page = Page(as_html(report(**NOTHING)))
    assert "No job ended in this time." in page.text
    assert [tag for tag, _ in page.elements].count("svg") == 1
    assert "No job failed in this time." in "".join(text_of(as_pdf(report(**NOTHING)), tmp_path))


def test_no_name_breaks_out_of_a_page() -> None:
    hostile = report(
        title=HOSTILE[0],
        tasks={name: figures() for name in HOSTILE},
        failures=[failure(name) for name in HOSTILE],
        filters={"task": HOSTILE[1]},
        notes=[HOSTILE[0]],
    )
    page = Page(as_html(hostile))
    plain = Page(as_html(report(tasks={name[:3]: figures() for name in HOSTILE})))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [attribute for _, attributes in page.elements for attribute in attributes if attribute.startswith("on")]
    assert "{{ 7 * 7 }}" in page.text
    assert "\x00" not in page.text


def test_a_page_needs_nothing_from_elsewhere() -> None:
    html = as_html(report()).decode()
    links = re.findall(r'(?:src|href|xlink:href|action)="([^"]*)"', html)
    assert [link for link in links if not link.startswith("#")] == []
    assert "@import" not in html
    assert "url(" not in html.replace("url(#", "")


def test_any_name_can_be_in_a_pdf(tmp_path: Path) -> None:
    hostile = report(
        title="\n".join(HOSTILE),
        tasks={name: figures() for name in HOSTILE},
        failures=[failure(name) for name in HOSTILE] * 3,
        filters={"task": "x" * 255},
    )
    text = "".join(text_of(as_pdf(hostile), tmp_path))
    assert "<script>alert(1)</script>" in text
    assert "**bold** __under__" in text
    assert "отправить" in text


def test_the_same_report_is_the_same_file() -> None:
    assert as_html(report()) == as_html(report())
    assert as_pdf(report()) == as_pdf(report())


@pytest.mark.parametrize("run", [0.0, 1e-6, 0.5, 86_400.0 * 30])
def test_charts_of_any_length(run: float) -> None:
    extremes = report(
        tasks={"fast": figures(run=0.0005), "slow": figures(run=run)},
        steps=[Step(at=START, figures=figures(run=run)), Step(at=START + timedelta(hours=1), figures=figures(run=0.1))],
    )
    assert as_pdf(extremes).startswith(b"%PDF-")


def test_conditions_are_said() -> None:
    said = contents(report(filters={"finished_after": "x", "tag": "nightly"}, notes=["Not all."]))["conditions"]
    assert said[:3] == ["Only jobs with finished after x.", "Only jobs with tag nightly.", "Not all."]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "–"),
        (0, "< 1 ms"),
        (0.0123, "12.3 ms"),
        (1.5, "1.5 s"),
        (59.96, "60 s"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (5000, "1 h 23 min"),
        (864_000, "10.0 days"),
    ],
)
def test_durations_are_short(seconds: float | None, written: str) -> None:
    assert words.duration(seconds) == written


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [(0, 0, "–"), (0, 5, "0 %"), (5, 5, "100 %"), (1, 3, "33.3 %"), (99_999, 100_000, "99.99 %"), (1, 10**6, "0.01 %")],
)
def test_nearly_all_is_not_all(part: int, whole: int, written: str) -> None:
    assert words.percent(part, whole) == written
