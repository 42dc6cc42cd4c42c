"""What is in a report, in words and in order: the same for each format."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...jobs.figures import Percentiles
from .figures import Report
from .words import duration, line, moment, number, percent

#: Columns of an analysed table that are told of.
MOST_COLUMNS = 30
#: Title of each chart, and a line that says what it shows.
CHARTS = {
    "throughput": ("Jobs that ended", "How many ended in each step of time, and how."),
    "runs": ("How long jobs ran", "Of the jobs that ended in each step; the last attempt of each."),
    "slowest": ("The slowest tasks", "By the time within which 95 % of their jobs ran."),
}


class Column(NamedTuple):
    """A column of a table: its title, its part of the width, and whether it has numbers."""

    title: str
    width: int
    is_number: bool = False


class Table(NamedTuple):
    """A table of a report."""

    title: str
    columns: list[Column]
    rows: list[list[str]]
    note: str  # what is said where there are no rows, or about those that are left out


class Number(NamedTuple):
    """A number that is seen first."""

    label: str
    value: str
    detail: str
    tone: str  # "", "ok" or "bad"


def contents(report: Report) -> dict[str, Any]:
    """Return the numbers and tables of a report, and under which conditions they hold."""
    tables = [_tasks(report), _failures(report)]
    if report.analysis is not None:
        tables.append(_analysed(report.analysis))
    return {"numbers": _numbers(report), "tables": tables, "conditions": _conditions(report)}


def _numbers(report: Report) -> list[Number]:
    total = report.total
    hours = (report.end - report.start).total_seconds() / 3600
    return [
        Number("jobs ended", number(total.jobs), _rate(total.jobs / hours), ""),
        Number(
            "succeeded",
            percent(total.succeeded, total.jobs),
            f"{number(total.succeeded)} jobs",
            "ok" if total.jobs and not total.failed else "",
        ),
        Number(
            "failed",
            number(total.failed),
            f"{percent(total.failed, total.jobs)}; {number(total.revoked)} revoked",
            "bad" if total.failed else "",
        ),
        Number("half ran at most", _half(total.run), f"95 %: {_most(total.run)}", ""),
        Number("half waited at most", _half(total.wait), f"95 %: {_most(total.wait)}", ""),
    ]


def _half(spans: Percentiles | None) -> str:
    return duration(spans.p50 if spans else None)


def _most(spans: Percentiles | None) -> str:
    return duration(spans.p95 if spans else None)


def _rate(an_hour: float) -> str:
    return f"{number(an_hour)} an hour" if an_hour >= 10 else f"{an_hour:.2g} an hour"


def _tasks(report: Report) -> Table:
    columns = [
        Column("Task", 38),
        Column("Jobs", 10, is_number=True),
        Column("Failed", 10, is_number=True),
        Column("Revoked", 10, is_number=True),
        Column("Half ran", 12, is_number=True),
        Column("95 % ran", 12, is_number=True),
        Column("95 % waited", 14, is_number=True),
    ]
    rows = [
        [
            line(name, 120),
            number(one.jobs),
            number(one.failed) if one.failed else "–",
            number(one.revoked) if one.revoked else "–",
            _half(one.run),
            _most(one.run),
            _most(one.wait),
        ]
        for name, one in report.tasks.items()
    ]
    more = f"{report.tasks_left_out} more tasks had fewer jobs." if report.tasks_left_out else ""
    return Table("Tasks", columns, rows, more if rows else "No job ended in this time.")


def _failures(report: Report) -> Table:
    columns = [
        Column("Error", 22),
        Column("Task", 22),
        Column("Jobs", 8, is_number=True),
        Column("Last", 17),
        Column("Message of the last", 40),
    ]
    rows = [
        [line(one.error, 80), line(one.task, 120), number(one.count), moment(one.last_at), line(one.message, 200)]
        for one in report.failures
    ]
    more = f"{report.failures_left_out} more kinds had fewer failures." if report.failures_left_out else ""
    return Table("Failures", columns, rows, more if rows else "No job failed in this time.")


def _analysed(analysis: Mapping[str, Any]) -> Table:
    columns = [
        Column("Column", 24),
        Column("Type", 11),
        Column("Missing", 11, is_number=True),
        Column("From / most frequent", 25),
        Column("Half", 13, is_number=True),
        Column("To", 25),
    ]
    rows = [
        [
            line(one["name"], 60),
            one["type"],
            number(one["missing"]) if one["missing"] else "–",
            *_range(one),
        ]
        for one in analysis["columns"][:MOST_COLUMNS]
    ]
    left_out = len(analysis["columns"]) - len(rows)
    about = f"{analysis['rows']:,} rows."
    return Table(
        "The table that was analysed", columns, rows, f"{about} {left_out} more columns." if left_out > 0 else about
    )


def _range(column: Mapping[str, Any]) -> tuple[str, str, str]:
    """Say between what the values lie, and what half of them do not exceed; of texts, which comes most often."""
    if column["type"] == "text":
        first, about = column["top"][0], "about " if column["distinct_is_approximate"] else ""
        return f"{line(first['value'], 40)} ({first['count']:,})", "", f"{about}{column['distinct']:,} different"
    if column["type"] == "bool":
        return f"true ({column['true']:,})", "", f"false ({column['false']:,})"
    half = column.get("quantiles", {}).get("p50")
    return _written(column.get("min")), _written(half), _written(column.get("max"))


def _written(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:,.6g}"


def _conditions(report: Report) -> list[str]:
    """Return what a reader must know to read the numbers."""
    asked = [f"Only jobs with {name.replace('_', ' ')} {line(value, 100)}." for name, value in report.filters.items()]
    return [*asked, *report.notes, "Times are UTC; percentiles are within 5 % of the exact ones."]
