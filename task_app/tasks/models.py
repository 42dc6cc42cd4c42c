"""Tasks that train a classifier, and ask it."""

from typing import Annotated, Any, Literal

from celery import shared_task
from marshmallow.validate import Length, Range

from ..errors import FilesUnavailable
from ..files.hints import FileId
from ..files.service import open_file
from ..mirror.artefacts import save_artefact
from ..mirror.progress import raise_if_cancelled, report_progress
from .optional import need

need("sklearn", "skops")

#: When a process that comes to no end is killed, in seconds. Usual models take a few; a forged one could take days.
TIME_LIMIT = 600

Row = Annotated[list[float], Length(1, 1000)]


@shared_task(autoretry_for=(FilesUnavailable,), retry_backoff=2, max_retries=8, time_limit=TIME_LIMIT)
def train_model(
    dataset: Literal["iris", "digits", "wine", "breast_cancer"],
    algorithm: Literal["forest", "linear"] = "forest",
    steps: Annotated[int, Range(1, 500), "Trees of the forest, or how often the linear model sees all rows."] = 100,
    held_out: Annotated[float, Range(0.1, 0.5), "The part of the rows that only test it."] = 0.25,
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> dict[str, Any]:
    """Train a classifier on a data set that comes with scikit-learn.

    The result has the model, for `predict`, and how good it is with rows it has not seen. The same arguments give the
    same model.
    """
    from ..gallery import models  # noqa: PLC0415 - see `need`

    trained = models.train(dataset, algorithm, steps, report_progress, held_out=held_out, seed=seed)
    raise_if_cancelled()
    name = f"{dataset}-{algorithm}.skops"
    return {"model": save_artefact(name, models.pack(trained.classifier), "application/zip"), **trained.facts}


@shared_task(autoretry_for=(FilesUnavailable,), retry_backoff=2, max_retries=8, time_limit=TIME_LIMIT)
def predict(
    model: FileId, rows: Annotated[list[Row], Length(1, 10_000), "Values in the order of the model's features."]
) -> dict[str, Any]:
    """Say of each row what it is, by a model that train_model has made.

    Fails at once for another file, and for rows that the model can't be asked about. Nothing in a file is ever run.
    """
    from ..gallery import models  # noqa: PLC0415 - see `need`

    with open_file(model) as file:
        classifier = models.unpack(file)
    raise_if_cancelled()  # once is enough: the largest forest answers 10,000 rows in less than a second
    return {
        "dataset": classifier.dataset,
        "classes": classifier.classes,
        "predictions": models.ask(classifier, rows),
    }
