"""Writes `docs/benchmarks.md` and its chart from the figures of a run."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from .contestants import EVERYBODY, OURS, PEERS, ROOT

FIGURES = ROOT / "benchmarks" / "figures.json"
PAGE = ROOT / "docs" / "benchmarks.md"
CHART = ROOT / "docs" / "benchmarks.svg"
PACKAGES = ("celery", "kombu", "sqlalchemy", "psycopg", "redis", "flask", "gunicorn")

Figures = dict[str, Any]


def about(rounds: int) -> Figures:
    """Describe the run: machine, versions, time."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "rounds": rounds,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in PACKAGES},
        "peers": _peer_versions(),
        "servers": [_first_line("redis-server", "--version"), _first_line("psql", "--version")],
    }


def _peer_versions() -> list[str]:
    python = PEERS / "bin" / "python"
    if not python.exists():
        return []
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=False).stdout
    wanted = ("celery", "dramatiq", "huey", "procrastinate", "rq", "taskiq", "taskiq-redis")
    return [line for line in listed.splitlines() if line.split("==")[0].lower() in wanted]


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{command[0]}: not found"
    return (done.stdout.splitlines() or [""])[0]


def write(kept: Figures) -> None:
    """Write the page and the chart."""
    parts = [HEAD, _machine(kept)]
    for name, title in THROUGHPUTS.items():
        if name in kept:
            parts.append(_throughput(title, kept[name]["figures"]))
    if "throughput" in kept:
        CHART.write_text(_chart(kept["throughput"]["figures"]))
        parts.insert(2, "![Jobs per second of each, no-op jobs](benchmarks.svg)\n")
    parts += [section(kept[name]["figures"]) for name, section in SECTIONS.items() if name in kept]
    notes = PAGE.read_text().partition(NOTES)[2] if PAGE.exists() else ""
    PAGE.write_text("\n".join(parts) + f"\n{NOTES}{notes}" + ("" if notes else "\n"))


HEAD = """# Benchmarks

Written by `make bench`; everything in a table was measured in one run, alternating, each round on fresh servers of its
own. A round fills the queue, starts workers that run two jobs at once, and takes the time between jobs after the first
fifth. Tasks of all contestants say that they ran by appending to a file, so the ruler is the same for all. Figures are
medians. PostgreSQL and Redis run with their usual durability, and this service with every promise on.
"""
NOTES = "<!-- notes: everything below is written by people -->\n"
THROUGHPUTS = {
    "throughput": "No-op jobs",
    "sleep": "Jobs that wait 10 ms",
    "payload": "100 KB of arguments and results",
}


def _machine(kept: Figures) -> str:
    run: Figures = next(iter(kept.values()))["about"]
    versions = ", ".join([*(f"{name} {number}" for name, number in run["packages"].items()), *run["peers"]])
    return (
        f"Run on {run['date']}: {run['cores']} cores, {run['system']}, Python {run['python']}, {run['rounds']} rounds; "
        f"{'; '.join(run['servers'])}; {versions}.\n"
    )


def _throughput(title: str, figures: Figures) -> str:
    ours = figures.get(OURS.name, {}).get("rate")
    lines = [
        f"## {title}\n",
        "| | keeps | jobs/s | this service is | CPU ms a job, workers | … servers | MB, workers |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in sorted(figures.items(), key=lambda item: -item[1]["rate"]):
        contestant = EVERYBODY[name]
        ratio = f"{ours / one['rate']:.2f} ×" if ours and name != OURS.name else ""
        title_of = f"**{contestant.title}**" if contestant.ours else contestant.title
        rate, cpu, memory = (one[name] for name in ("rate", "cpu", "memory"))
        servers = f"{one['servers']:.2f}" if "servers" in one else "not taken"
        cells = (title_of, contestant.keeps, f"{rate:.0f}", ratio, f"{cpu:.2f}", servers, f"{memory:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _http(figures: Figures) -> str:
    ours, tutorial = figures[OURS.name], figures["tutorial"]
    return (
        "## Submitting by HTTP\n\ngunicorn, one process, four threads, four clients that keep their connections.\n\n"
        "| | requests/s | p99 ms |\n|---|---|---|\n"
        f"| **this service**: row, message, mark | {ours['rate']:.0f} | {ours['p99']:.1f} |\n"
        f"| tutorial: `delay()`, nothing kept | {tutorial['rate']:.0f} | {tutorial['p99']:.1f} |\n\n"
        f"Single submits: {ours['rate'] / tutorial['rate']:.2f} × the tutorial's. In batches of 1000: "
        f"{figures['batch']['rate']:.0f} jobs/s, {figures['batch']['rate'] / ours['rate']:.0f} × single submits.\n"
    )


def _latency(figures: Figures) -> str:
    rows = "".join(
        f"| {EVERYBODY[name].title} | {one['p50']:.2f} | {one['p95']:.2f} |\n" for name, one in figures.items()
    )
    return f"## From submit to start, idle system\n\n| | p50 ms | p95 ms |\n|---|---|---|\n{rows}"


def _storm(figures: Figures) -> str:
    rows = "".join(
        f"| {EVERYBODY[name].title} | {one['seconds']:.2f} | {one['writes']:.0f} |\n" for name, one in figures.items()
    )
    return f"## A task that reports progress 10 000 times\n\n| | seconds | writes |\n|---|---|---|\n{rows}"


def _streams(figures: Figures) -> str:
    return (
        "## 500 open event streams on one web process\n\n"
        "All 500 jobs change at once, four times. One thread looks for all: a statement per look, and one more for\n"
        "what has changed.\n\n"
        f"A client sees a change after {figures['p50']:.0f} ms (p50), {figures['p95']:.0f} ms (p95); "
        f"{figures['missed']:.0f} were missed. While nothing changes the process makes {figures['statements']:.1f} "
        f"statements a second in all, and it takes {figures['memory']:.0f} MB.\n"
    )


def _scale(figures: Figures) -> str:
    few, many = figures["few_table"], figures["many_table"]
    head = (
        f"## With {figures['rows']:,} rows\n\n"
        f"Written by `make bench-scale`: {figures['rows']:,} jobs of all states over years, beside a table of "
        f"{figures['few']:,}, on PostgreSQL\nwith 32 MB of shared buffers, in turn.\n\n"
        "| | few rows | many rows | ratio |\n|---|---|---|---|\n"
    )
    for what, key in (("no-op jobs/s", "rate"), ("submit by HTTP, p99 ms", "p99")):
        one, other = few["whole"][key], many["whole"][key]
        head += f"| {what} | {one:.1f} | {other:.1f} | {other / one:.2f} × |\n"
    rows = ""
    for what, one in many.items():
        if what != "whole":
            cells = (few[what]["p50"], one["p50"], few[what]["p95"], one["p95"])
            rows += f"| {what} | {' | '.join(f'{cell:.2f}' for cell in cells)} |\n"
    return (
        f"{head}\nEach statement alone, milliseconds:\n\n"
        f"| | few p50 | many p50 | few p95 | many p95 |\n|---|---|---|---|---|\n{rows}"
    )


SECTIONS = {"http": _http, "latency": _latency, "streams": _streams, "storm": _storm, "scale": _scale}


def _chart(figures: Figures) -> str:
    """Draw one bar each, longest first."""
    bars = sorted(figures.items(), key=lambda item: -item[1]["rate"])
    most, height = bars[0][1]["rate"], 26
    rows = []
    for number, (name, one) in enumerate(bars):
        y, width = 44 + number * height, 380 * one["rate"] / most
        colour = "#1f6feb" if EVERYBODY[name].ours else "#8c959f"
        rows.append(
            f'<text x="300" y="{y + 14}" text-anchor="end">{EVERYBODY[name].title}</text>'
            f'<rect x="310" y="{y}" width="{width:.1f}" height="18" rx="2" fill="{colour}"/>'
            f'<text x="{316 + width:.1f}" y="{y + 14}">{one["rate"]:.0f}</text>'
        )
    total = 56 + len(bars) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{total}" viewBox="0 0 760 {total}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1f2328" role="img">'
        "<title>No-op jobs per second</title>"
        f'<rect width="760" height="{total}" fill="#ffffff"/>'
        '<text x="16" y="26" font-size="15" font-weight="600">No-op jobs per second, two at once</text>'
        f"{''.join(rows)}</svg>\n"
    )
