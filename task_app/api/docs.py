"""The OpenAPI document at /openapi.json and the page that shows it at /docs, with all its assets."""

import inspect
import json
from typing import Any

from flask import Blueprint, Flask, Response, current_app
from flask_smorest import Api
from flask_swagger_ui import get_swaggerui_blueprint

from ..mirror import arguments
from ..mirror.fields import add_to_json_schema
from ..mirror.public import public_tasks
from ..version import __version__
from ..web.submission import Moment, TaskId
from .job import NamedJobSchema
from .schemas import Cursor, ProblemSchema

OPENAPI_VERSION = "3.1.0"

blueprint = Blueprint("openapi", __name__)


class DocumentedApi(Api):
    """flask-smorest's collector of documentation; errors are ours to render."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = ProblemSchema

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
    app.register_blueprint(blueprint)
    # validatorUrl: the page would show a badge that another site makes.
    config = {"app_name": "task_app", "validatorUrl": None}
    app.register_blueprint(get_swaggerui_blueprint("/docs", "/openapi.json", config=config, blueprint_name="docs"))
    return api


@blueprint.route("/openapi.json")
def openapi() -> Response:
    """Serve the document. It is made anew each time: tasks may have come since the app was built."""
    return Response(json.dumps(document()), mimetype="application/json")


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the current app, with a path for each public task."""
    made: dict[str, Any] = current_app.extensions["openapi"].spec.to_dict()
    named = {"schema": {"$ref": "#/components/schemas/NamedJob"}}
    answers = dict(made["paths"]["/tasks"]["post"]["responses"])
    answers["202"] = {**answers["202"], "content": {"application/json": named}}
    for task in public_tasks():
        made["paths"].setdefault(f"/tasks/{task.name}", {"post": _operation(task, answers)})
    return made


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
