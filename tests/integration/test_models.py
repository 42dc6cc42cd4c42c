"""The tasks that train and ask a classifier, as a worker runs them."""

import pickle
from pathlib import Path
from typing import BinaryIO

import pytest
from flask import Flask

pytest.importorskip("sklearn")
pytest.importorskip("skops")

from task_app.gallery.models import Classifier, unpack
from task_app.jobs import service
from task_app.testing.attempts import run_attempt

from ..gallery import (
    artefacts,
    cancelled_when_it_reports,
    failure,
    result_of,
    run,
    run_with_store_away_at_first,
    stored,
    submitted,
)
from ..unit.test_models import SETOSA, RunsCode


def test_a_model_is_trained_and_asked(app: Flask) -> None:
    job = run(app, "train_model", dataset="iris", steps=12)
    made = result_of(job)
    assert made["accuracy"] > 0.85
    assert artefacts(job) == {"iris-forest.skops": made["model"]}
    assert (job.meta["current"], job.meta["total"]) == (12, 12)
    answers = result_of(run(app, "predict", model=made["model"], rows=[SETOSA, [6.3, 3.3, 6.0, 2.5]]))
    assert [answer["class"] for answer in answers["predictions"]] == ["setosa", "virginica"]
    assert answers["classes"] == ["setosa", "versicolor", "virginica"]


def test_a_second_attempt_makes_the_same_model(app: Flask) -> None:
    first, second = (result_of(run(app, "train_model", dataset="wine", steps=5, seed=3)) for _ in range(2))
    del first["model"], second["model"]
    assert first == second


def test_training_that_was_cancelled_ends_and_leaves_no_model(app: Flask) -> None:
    job_id = submitted(app, "train_model", dataset="digits", steps=500)
    with cancelled_when_it_reports(app, job_id):
        job = run_attempt(app, job_id)
    assert job.state == "REVOKED"
    assert job.meta["current"] < 500
    assert artefacts(job) == {}


def test_a_model_that_nobody_could_keep_is_trained_again(app: Flask) -> None:
    job = run_with_store_away_at_first(app, "train_model", dataset="iris", steps=1)
    assert artefacts(job) == {"iris-forest.skops": result_of(job)["model"]}


def test_a_model_that_could_not_be_read_is_asked_again(app: Flask) -> None:
    model = result_of(run(app, "train_model", dataset="iris", steps=5))["model"]
    job = run_with_store_away_at_first(app, "predict", model=model, rows=[SETOSA])
    assert [answer["class"] for answer in result_of(job)["predictions"]] == ["setosa"]


def test_a_job_that_is_cancelled_while_it_reads_its_model_asks_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = result_of(run(app, "train_model", dataset="iris", steps=1))["model"]
    job_id = submitted(app, "predict", model=model, rows=[SETOSA, [1.0]])  # the second row would make it fail

    def cancelled_while_it_reads(file: BinaryIO) -> Classifier:
        service.cancel(job_id)
        return unpack(file)

    monkeypatch.setattr("task_app.gallery.models.unpack", cancelled_while_it_reads)
    job = run_attempt(app, job_id)
    assert (job.state, job.result) == ("REVOKED", None)


def test_a_file_that_would_run_code_fails_at_once(app: Flask, tmp_path: Path) -> None:
    trap = tmp_path / "was here"
    job = run(app, "predict", model=stored(app, pickle.dumps(RunsCode(trap)), "model.skops"), rows=[SETOSA])
    assert failure(job) == ("UnusableInput", "the file is no model that train_model has made")
    assert not trap.exists()


def test_rows_that_do_not_fit_fail_at_once(app: Flask) -> None:
    model = result_of(run(app, "train_model", dataset="iris", steps=1))["model"]
    job = run(app, "predict", model=model, rows=[[1.0]])
    assert failure(job) == ("UnusableInput", "row 0 has 1 values; the model needs 4")


def test_no_model_holds_a_process_for_ever(app: Flask) -> None:
    tasks = app.extensions["celery"].tasks
    assert [tasks[name].time_limit for name in ("train_model", "predict")] == [600, 600]
