"""The OpenAPI document at /openapi.json."""

import inspect
import json
import threading
from typing import Any

from apispec import APISpec
from flask import Blueprint, Flask, Response, current_app
from flask_smorest import Api

from ..mirror import arguments
from ..mirror.fields import add_to_json_schema
from ..mirror.public import public_tasks
from ..version import __version__
from ..web.access import guard
from ..web.lists import Cursor
from ..web.problems import MEDIA_TYPE
from ..web.submission import Moment, TaskId
from . import docs_page
from .job import NamedJobSchema
from .schemas import ProblemSchema

OPENAPI_VERSION = "3.1.0"

#: Routes that ask nobody for a key.
OPEN = ("/healthz", "/readyz")

blueprint = Blueprint("openapi", __name__)
guard(blueprint)


class DocumentedApi(Api):
    """flask-smorest's collector of documentation; errors are ours to render.

    Routes are described when somebody asks for the document: it takes half as long as all the rest of making an app,
    and most processes never ask.
    """

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = ProblemSchema

    def __init__(self, *args: Any, **options: Any) -> None:
        self._lock = threading.Lock()
        self._undescribed: list[Any] = []
        super().__init__(*args, **options)

    def register_blueprint(self, blp: Any, **options: Any) -> None:
        """Register the routes of a blueprint."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp, **options)
        self._undescribed.append(blp)

    def described(self) -> APISpec:
        """Return what was collected, with all routes."""
        with self._lock:
            while self._undescribed:
                blp = self._undescribed.pop(0)
                blp.register_views_in_doc(self, self._app, self.spec, name=blp.name, parameters=None)
                self.spec.tag({"name": blp.name, "description": blp.description})
        described: APISpec = self.spec
        return described

    def _register_error_handlers(self) -> None:
        """Leave errors to `problems`."""


def init_app(app: Flask) -> DocumentedApi:
    """Return the collector with which blueprints are registered, and serve what it collects."""
    api = DocumentedApi(
        app, spec_kwargs={"title": "task_app", "version": __version__, "openapi_version": OPENAPI_VERSION}
    )
    api.ma_plugin.converter.add_attribute_function(add_to_json_schema)
    api.register_field(Moment, "string", "date-time")
    api.register_field(TaskId, "string", "uuid")
    api.register_field(Cursor, "string", None)
    api.spec.components.schema("NamedJob", schema=NamedJobSchema)
    app.extensions["openapi"] = api
    api.spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})
    app.register_blueprint(blueprint)
    app.register_blueprint(docs_page.blueprint)
    return api


@blueprint.route("/openapi.json")
def openapi() -> Response:
    """Serve the document. It is made anew each time: tasks may have come since the app was built."""
    return Response(json.dumps(document()), mimetype="application/json")


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the current app, with a path for each public task."""
    made: dict[str, Any] = current_app.extensions["openapi"].described().to_dict()
    named = {"schema": {"$ref": "#/components/schemas/NamedJob"}}
    answers = dict(made["paths"]["/tasks"]["post"]["responses"])
    answers["202"] = {**answers["202"], "content": {"application/json": named}}
    for task in public_tasks():
        made["paths"].setdefault(f"/tasks/{task.name}", {"post": _operation(task, answers)})
    for path, operations in made["paths"].items():
        if path not in OPEN:
            for operation in operations.values():
                _add_access(operation)
    return made


def _add_access(operation: Any) -> None:
    """Say that an operation needs a key, and how it answers without."""
    if isinstance(operation, dict):  # beside the operations of a path stand its parameters, a list
        operation["security"] = [{"key": []}]
        refused = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        about = {"401": "No key, or a wrong one.", "403": "The key's role is too small."}
        operation["responses"] |= {status: {"description": text, **refused} for status, text in about.items()}


def _operation(task: Any, answers: dict[str, Any]) -> dict[str, Any]:
    schema = arguments.json_schema_of(task)
    summary, _, description = (task.__doc__ or task.name).strip().partition("\n")
    content = {"schema": schema}
    return {
        "tags": ["tasks"],
        "summary": summary,
        "description": inspect.cleandoc(description),
        "requestBody": {
            "required": bool(schema.get("required")),
            "content": {"application/json": content, "application/x-www-form-urlencoded": content},
        },
        "responses": answers,
    }
