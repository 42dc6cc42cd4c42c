"""The task that makes pictures smaller, as a worker runs it."""

import io

import pytest
from flask import Flask

pytest.importorskip("PIL")

from PIL import Image

from task_app.jobs import service
from task_app.testing.attempts import run_attempt

from ..gallery import artefacts, content_of, failure, result_of, run, run_with_store_away_at_first, stored, submitted


def picture(kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (200, 100), "red").save(file, kind)
    return file.getvalue()


def test_a_thumbnail_is_made(app: Flask) -> None:
    job = run(app, "resize_image", file=stored(app, picture("JPEG"), "Grüße aus Rom.jpeg"), width=50)
    found = result_of(job)
    assert (found["width"], found["height"], found["original_width"], found["original_height"]) == (50, 25, 200, 100)
    assert artefacts(job) == {"Grüße aus Rom-50.jpg": found["file"]}
    assert job.artefacts[0]["type"] == "image/jpeg"
    assert Image.open(io.BytesIO(content_of(app, found["file"]))).size == (50, 25)


def test_what_is_no_picture_fails_at_once(app: Flask) -> None:
    job = run(app, "resize_image", file=stored(app, "a,b"))
    assert failure(job) == ("UnusableInput", "the file is no picture in the formats PNG, JPEG, WebP or GIF")
    assert artefacts(job) == {}


def test_a_store_that_is_away_is_tried_again(app: Flask) -> None:
    job = run_with_store_away_at_first(app, "resize_image", file=stored(app, picture(), "red.png"), width=50)
    assert artefacts(job) == {"red-50.png": result_of(job)["file"]}


def test_a_cancelled_job_makes_none(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["PROGRESS_INTERVAL"] = 0.0
    job_id = submitted(app, "resize_image", file=stored(app, picture()))
    load = Image.Image.load

    def cancelled_while_it_loads(image: Image.Image) -> object:
        with app.app_context():
            service.cancel(job_id)
        return load(image)

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", cancelled_while_it_loads)
    job = run_attempt(app, job_id)
    assert job.state == "REVOKED"
    assert artefacts(job) == {}
