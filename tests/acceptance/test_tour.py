"""docs/tour.md, run as it stands there, against a site and a mail server that it starts itself."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("fpdf")
pytest.importorskip("matplotlib")
pytest.importorskip("polars")
pytest.importorskip("selectolax")

from task_app import create_app

from ..conftest import dispose, settings_for
from .stack import ROOT, free_port, running

SECTIONS = ("A site and a mailbox", "Each task by itself", "All of it as a chain")
SEEN = [
    "'title': 'Teapots'",
    "'name': 'price', 'type': 'float'",
    "\nSUCCESS\n",
    "Jobs of ",
    "tour/report.pdf",
    "tour/analysis.json",
]
#: What the pages of the steps show: the files are theirs.
MADE = {
    "crawl": [],
    "pages_table": ["pages.csv"],
    "analyze_csv": ["analysis.json"],
    "report_with_analysis": ["report.pdf"],
    "mail_report": [],
}
#: Waits until both servers answer: who reads the page needs longer for the next step.
READY = """
for port in {ports}; do
  for _ in $(seq 200); do
    python -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>&- && break
    sleep 0.05
  done
done
"""


def blocks(section: str, language: str = "sh") -> list[str]:
    text = Path(ROOT, "docs", "tour.md").read_text(encoding="utf-8")
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", part, re.DOTALL)


def settings_of_the_page() -> dict[str, str]:
    return dict(re.findall(r"([A-Z_]+)=(\S+)", "\n".join(blocks("Start"))))


def files_by_step(page: str) -> dict[str, list[str]]:
    """Read a job's page and those its family leads to; return the files on each, by task."""
    root = page.rpartition("/jobs/")[0]
    family = re.search(r'<section[^>]* id="family".*?</section>', read(page), re.DOTALL)
    assert family is not None, "the page shows no family"
    found = {}
    for path in set(re.findall(r'href="(/jobs/[^"?#/]+)"', family[0])):
        text = read(root + path)
        (task,) = re.findall(r"<h1[^>]*>.*?</h1>", text, re.DOTALL)[:1]
        found[re.sub(r"<[^>]*>", "", task).strip()] = re.findall(r" download>([^<]*)</a>", text)
    return found


def read(address: str) -> str:
    with urlopen(address) as answer:
        return str(answer.read().decode())


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_tour_works(tmp_path: Path) -> None:
    site, mail = free_port(), free_port()
    settings = {name: value.replace("8025", str(mail)) for name, value in settings_of_the_page().items()}
    assert settings.keys() == {"FLASK_CRAWL_PRIVATE", "FLASK_CRAWL_RATE", "SMTP_URL"}
    with running(tmp_path, "sqlite", "embedded", **settings) as stack:
        stack.start_worker()
        address = stack.start_web()
        steps = [block for section in SECTIONS for block in blocks(section)]
        assert steps.pop(0) == ". .venv/bin/activate\n"
        steps.insert(1, READY.format(ports=f"{site} {mail}"))
        script = "\n".join(steps).replace("http://127.0.0.1:5000", address)
        script = script.replace("8000", str(site)).replace("8025", str(mail))
        bash = ["bash", "-euo", "pipefail", "-c", script]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (tmp_path / "said").open("w") as said:
            tour = subprocess.Popen(
                bash, cwd=tmp_path, env={**os.environ, "PATH": path}, stdout=said, stderr=said, start_new_session=True
            )
            try:
                code = tour.wait(240)
            finally:
                os.killpg(tour.pid, signal.SIGTERM)  # its servers
        output = (tmp_path / "said").read_text()
        assert code == 0, output
        shown = files_by_step(re.findall(rf"{address}/jobs/\S+", output)[-1])
    assert [what for what in SEEN if what not in output] == []
    assert {step: shown[step] for step in MADE} == MADE
    assert (tmp_path / "tour" / "report.html").read_bytes().startswith(b"<!doctype html>")
    assert "http://127.0.0.1" in (tmp_path / "tour" / "analysis.json").read_text()
    assert (tmp_path / "tour" / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_the_plan_of_the_tour_is_one(tmp_path: Path) -> None:
    (plan,) = blocks("Every night", "python")
    (tmp_path / "config.py").write_text(plan)
    (setting,) = blocks("Every night")
    found = re.findall(r"FLASK_([A-Z_]+)=(\S+)", setting)
    app = create_app(settings_for(tmp_path, **dict(found)))
    dispose(app)
    (entry,) = app.extensions["celery"].conf.beat_schedule.values()
    assert (entry["task"], entry["kwargs"]["site"]) == ("nightly_report", "http://127.0.0.1:8000/")
