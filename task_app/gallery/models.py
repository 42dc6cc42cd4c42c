"""Small classifiers: trained step by step, kept in files that can't run code, and asked.

pickle and joblib, which most examples keep models with, run what the file says. skops writes what a model is made of,
and only types that are known to be harmless are put together again.
"""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import sklearn
import skops.io
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from ..errors import UnusableInput
from . import Tick

#: Bytes of a file with a model, and of what is packed in it.
MOST_BYTES, MOST_UNPACKED = 50_000_000, 500_000_000
#: What stands in our files besides the model, so that others can be told from them.
FORMAT = "task_app classifier 1"
#: Trusted besides what skops trusts by itself; every node of it is looked at, see `_is_tree`.
TRUSTED = ["sklearn.tree._tree.Tree"]
#: Trees that are grown, or times that all rows are looked at, between two reports.
AT_ONCE = 5

LOADERS: dict[str, Callable[[], Any]] = {
    "iris": datasets.load_iris,
    "digits": datasets.load_digits,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
}


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained model and what its numbers mean."""

    model: Any
    dataset: str
    features: list[str]
    classes: list[str]


@dataclass(frozen=True, slots=True)
class Trained:
    """A classifier, and how good it is with rows it has not seen."""

    classifier: Classifier
    facts: dict[str, Any]


def train(dataset: str, algorithm: str, steps: int, tick: Tick, *, held_out: float = 0.25, seed: int = 0) -> Trained:
    """Train a classifier on a data set that comes with scikit-learn; the same arguments give the same one.

    `steps` are the trees of a forest, or how often a linear model looks at all rows.
    """
    found = LOADERS[dataset]()
    features = [str(name) for name in found.feature_names]
    classes = [str(name) for name in found.target_names]
    parts = train_test_split(found.data, found.target, test_size=held_out, random_state=seed, stratify=found.target)
    rows, unseen, known, unknown = parts
    model: Any = None
    accuracy = 0.0
    for done, model in _steps(algorithm, rows, known, steps, seed):
        accuracy = float(model.score(unseen, unknown))
        tick(done, steps, f"accuracy {accuracy:.1%}")
    facts = {
        "dataset": dataset,
        "algorithm": algorithm,
        "steps": steps,
        "seed": seed,
        "accuracy": accuracy,
        "confusion": confusion_matrix(unknown, model.predict(unseen)).tolist(),  # rows: what it is; columns: the guess
        "rows_trained": len(rows),
        "rows_held_out": len(unseen),
        "features": features,
        "classes": classes,
        "scikit_learn": sklearn.__version__,
    }
    return Trained(Classifier(model, dataset, features, classes), facts)


def _steps(algorithm: str, rows: Any, known: Any, steps: int, seed: int) -> Iterator[tuple[int, Any]]:
    if algorithm == "forest":
        forest = RandomForestClassifier(n_estimators=0, warm_start=True, random_state=seed, n_jobs=1)
        for done in _in_steps(steps):
            forest.set_params(n_estimators=done)
            forest.fit(rows, known)  # grows those that are missing
            yield done, forest
        return
    scaler = StandardScaler().fit(rows)
    linear = SGDClassifier(loss="log_loss", random_state=seed)
    scaled, labels, before = scaler.transform(rows), np.unique(known), 0
    order = np.random.default_rng(seed)
    for done in _in_steps(steps):
        for _ in range(done - before):
            mixed = order.permutation(len(scaled))
            linear.partial_fit(scaled[mixed], known[mixed], classes=labels)
        before = done
        yield done, make_pipeline(scaler, linear)


def _in_steps(steps: int) -> Iterator[int]:
    yield from range(AT_ONCE, steps, AT_ONCE)
    yield steps


# -- files -------------------------------------------------------------------------------------------------------


def pack(classifier: Classifier) -> bytes:
    """Write a classifier as the bytes of a file."""
    packed: bytes = skops.io.dumps(
        {
            "format": FORMAT,
            "model": classifier.model,
            "dataset": classifier.dataset,
            "features": classifier.features,
            "classes": classifier.classes,
        }
    )
    return packed


def unpack(file: BinaryIO) -> Classifier:
    """Read what `pack` wrote. Raises UnusableInput for everything else; nothing in a file is ever run."""
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UnusableInput(f"the file is larger than {MOST_BYTES:,} bytes; no model of ours is")
    _refuse_other_files(data)
    try:
        foreign = set(skops.io.get_untrusted_types(data=data)).difference(TRUSTED)
        found = None if foreign else skops.io.loads(data, trusted=TRUSTED)
    except Exception as error:  # a damaged file may make its reader raise anything
        raise UnusableInput(f"the file is no model that can be read: {error}") from error
    if foreign:
        raise UnusableInput(f"the file has types that are not trusted: {', '.join(sorted(foreign))[:300]}")
    return _checked(found)


def _refuse_other_files(data: bytes) -> None:
    """Refuse what is no archive, or would fill the memory when it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            archive.getinfo("schema.json")
    except (zipfile.BadZipFile, LookupError, NotImplementedError, OSError, ValueError) as error:
        raise UnusableInput("the file is no model that train_model has made") from error
    if unpacked > MOST_UNPACKED:
        raise UnusableInput("the file holds more than any model of ours")


def _checked(found: Any) -> Classifier:
    """Make sure that a model is one of ours: harmless types can still be put together wrongly."""
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UnusableInput("the file is a model, but none that train_model has made")
    model: Any = found.get("model")
    classifier = Classifier(
        model, str(found.get("dataset")), _texts(found.get("features")), _texts(found.get("classes"))
    )
    shape = width, _ = len(classifier.features), len(classifier.classes)
    try:
        is_whole = (_is_forest(model, *shape) or _is_linear(model, *shape)) and model.n_features_in_ == width
    except Exception as error:
        raise UnusableInput(f"the model is damaged: {error}") from error
    if not is_whole:
        raise UnusableInput("the model is damaged, or was changed after it was made")
    return classifier


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UnusableInput("the model is damaged: it doesn't say what its numbers mean")
    return value


def _is_linear(model: Any, width: int, classes: int) -> bool:
    if type(model) is not Pipeline or [type(step) for _, step in model.steps] != [StandardScaler, SGDClassifier]:
        return False
    scaler, linear = (step for _, step in model.steps)
    lines = 1 if classes == 2 else classes  # a single line parts two classes
    numbers = (scaler.mean_, scaler.scale_, linear.coef_, linear.intercept_)
    return (
        [part.shape for part in numbers] == [(width,), (width,), (lines, width), (lines,)]
        and all(part.dtype == np.float64 for part in numbers)
        and not _hides_methods(model, scaler, linear)
    )


def _is_forest(model: Any, width: int, classes: int) -> bool:
    """Look at every node of a forest: the code that walks down trees trusts their numbers, and could walk anywhere."""
    if type(model) is not RandomForestClassifier:
        return False
    trees = model.estimators_
    return (
        type(trees) is list
        and len(trees) == model.n_estimators >= 1
        and (model.n_outputs_, model.n_classes_, model.n_jobs) == (1, classes, 1)
        and not _hides_methods(model, *trees)
        and all(_is_decision(tree, width, classes) for tree in trees)
    )


def _is_decision(decision: Any, width: int, classes: int) -> bool:
    # Something else may have a sound `tree_` as well, and answer with another one.
    return (
        type(decision) is DecisionTreeClassifier
        and (decision.n_outputs_, decision.n_classes_) == (1, classes)
        and _is_tree(decision.tree_, width, classes)
    )


def _hides_methods(*parts: Any) -> bool:
    """Say whether something in a file would take the place of a method."""
    return any(hasattr(type(part), name) for part in parts for name in vars(part))


def _is_tree(tree: Any, width: int, classes: int) -> bool:
    # Without a first node, the walk would begin at no address at all.
    if type(tree) is not Tree or tree.node_count < 1 or tree.n_features != width:
        return False
    if tree.value.shape != (tree.node_count, 1, classes):
        return False
    left, right, places = tree.children_left, tree.children_right, np.arange(tree.node_count)
    is_leaf = left == -1
    # Children come after their parents, so every walk ends.
    goes_down = (left > places) & (left < tree.node_count) & (right > places) & (right < tree.node_count)
    asks_for_a_feature = (tree.feature >= 0) & (tree.feature < width)
    return bool(len(left) == tree.node_count and np.all(is_leaf | (goes_down & asks_for_a_feature)))


# -- asking ------------------------------------------------------------------------------------------------------


def ask(classifier: Classifier, rows: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Say of each row what it is, and how sure the model is. Raises UnusableInput for rows it can't be asked about."""
    width = len(classifier.features)
    for number, row in enumerate(rows):
        if len(row) != width:
            raise UnusableInput(f"row {number} has {len(row)} values; the model needs {width}")
        if not all(_is_sound(value) for value in row):
            raise UnusableInput(f"row {number} has a value that is no finite number, or too large")
    try:
        sure = classifier.model.predict_proba(np.array(rows, dtype=float))
        answers = [
            {"class": classifier.classes[int(np.argmax(row))], "probabilities": [round(float(p), 6) for p in row]}
            for row in sure
        ]
    except Exception as error:
        raise UnusableInput(f"the model is damaged: {error}") from error
    if not np.all(np.isfinite(sure)):
        raise UnusableInput("the model is damaged: its answers are no numbers")
    return answers


def _is_sound(value: Any) -> bool:
    """Say whether a value is a number that trees can hold: they have 32 bits."""
    return isinstance(value, int | float) and abs(value) < 3e38  # neither inf nor nan is
