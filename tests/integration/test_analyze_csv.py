"""The task that analyses a table, as a worker runs it."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

pytest.importorskip("polars")

from task_app.gallery.tables import source
from task_app.testing.attempts import run_attempt

from ..gallery import (
    artefacts,
    cancelled_when_it_reports,
    content_of,
    failure,
    result_of,
    run,
    run_with_store_away_at_first,
    stored,
    submitted,
)
from ..website import Website, status, website


def test_a_table_is_analysed(app: Flask) -> None:
    job = run(app, "analyze_csv", file=stored(app, "n,name\n1,ada\n2,bob\n", "people.csv"))
    found = result_of(job)
    assert (found["rows"], found["columns_left_out"]) == (2, 0)
    assert [column["type"] for column in found["columns"]] == ["int", "text"]
    assert job.progress["percent"] == 100
    assert artefacts(job) == {"analysis.json": found["file"]}
    assert json.loads(content_of(app, found["file"]))["columns"] == found["columns"]


def test_the_result_is_short_and_the_artefact_whole(app: Flask) -> None:
    row = ",".join(map(str, range(300)))
    found = result_of(run(app, "analyze_csv", file=stored(app, f"{row}\n{row}\n")))
    assert (len(found["columns"]), found["columns_left_out"]) == (50, 250)
    assert len(json.loads(content_of(app, found["file"]))["columns"]) == 300


def test_what_is_no_table_fails_at_once(app: Flask) -> None:
    job = run(app, "analyze_csv", file=stored(app, b"\x89PNG\r\n\x1a\n"))
    assert failure(job) == ("UnusableInput", "the file is an image, not a table of delimited text (CSV)")
    assert artefacts(job) == {}


def test_a_file_that_is_gone_fails_at_once(app: Flask) -> None:
    gone = "file-" + "0" * 32
    assert failure(run(app, "analyze_csv", file=gone)) == ("FileNotFound", f"there is no file {gone}")


def test_a_store_that_is_away_is_tried_again(app: Flask) -> None:
    job = run_with_store_away_at_first(app, "analyze_csv", file=stored(app, "n\n1\n"))
    assert result_of(job)["rows"] == 1


def test_a_cancelled_analysis_ends_and_leaves_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 50)  # so many steps that it would take a minute
    job_id = submitted(app, "analyze_csv", file=stored(app, "a,b\n" + "1,2\n" * 100_000))
    with cancelled_when_it_reports(app, job_id):
        job = run_attempt(app, job_id)
    assert job.state == "REVOKED"
    assert artefacts(job) == {}


# -- from a URL --------------------------------------------------------------------------------------------------


@pytest.fixture
def site(app: Flask) -> Iterator[Website]:
    app.config["CRAWL_PRIVATE"] = True
    with website() as site:
        yield site


def test_a_table_can_be_at_a_url(app: Flask, site: Website) -> None:
    site.pages["/table.csv"] = "n\n1\n2\n"
    job = run(app, "analyze_csv", url=site.url("/table.csv"))
    assert result_of(job)["rows"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="files without a name are read by name only there")
def test_a_download_leaves_nothing_even_if_its_process_is_killed(
    app: Flask, site: Website, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    site.pages["/table.csv"] = "n\n" + "1\n" * 1000
    left: list[list[Path]] = []

    def look(*_: object) -> None:
        left.append(list(folder.iterdir()))  # what a kill at this moment would leave

    monkeypatch.setattr("task_app.tasks.tables.report_progress", look)
    assert result_of(run(app, "analyze_csv", url=site.url("/table.csv")))["rows"] == 1000
    assert len(left) >= 3
    assert not any(left)


@pytest.mark.parametrize(("number", "state"), [(503, "RETRY"), (429, "RETRY"), (404, "FAILURE")])
def test_what_may_pass_is_tried_again(app: Flask, site: Website, number: int, state: str) -> None:
    site.pages["/table.csv"] = status(number)
    job_id = submitted(app, "analyze_csv", url=site.url("/table.csv"))
    assert run_attempt(app, job_id).state == state
    site.pages["/table.csv"] = "n\n1\n"
    if state == "RETRY":
        assert result_of(run_attempt(app, job_id))["rows"] == 1


def test_no_address_of_ours_is_read(app: Flask, site: Website) -> None:
    app.config["CRAWL_PRIVATE"] = False
    assert failure(run(app, "analyze_csv", url=site.url("/table.csv")))[0] == "AddressRefused"
    assert site.asked == []


def test_no_more_is_read_than_may_be_kept(app: Flask, site: Website) -> None:
    app.config["FILE_SIZE_LIMIT"] = 10
    site.pages["/table.csv"] = "n\n" + "1\n" * 10
    assert failure(run(app, "analyze_csv", url=site.url("/table.csv")))[0] == "ResponseTooLarge"


@pytest.mark.parametrize("given", ["both", "none"])
def test_it_is_either_a_file_or_a_url(app: Flask, given: str) -> None:
    arguments = {"file": stored(app, "n\n1\n"), "url": "http://example.com/"} if given == "both" else {}
    assert failure(run(app, "analyze_csv", **arguments)) == ("UnusableInput", "give either a file or a URL")
