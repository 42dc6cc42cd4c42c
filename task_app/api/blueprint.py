"""The blueprint `tasks`, and how its requests are read."""

from typing import Any, NoReturn

from flask import Request
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest

from ..web.access import guard
from ..web.ids import refuse_impossible_ids
from ..web.problems import MEDIA_TYPE, FieldErrors
from .body import json_body
from .schemas import ProblemSchema


class Parser(FlaskParser):
    """Reads JSON strictly and reports wrong fields as a problem document."""

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the body."""
        return json_body()

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """Return the query; its bytes may be anything."""
        try:
            return super().load_querystring(req, schema)
        except UnicodeDecodeError:
            raise BadRequest("The query is not UTF-8.") from None

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, *, error_status_code: Any, error_headers: Any
    ) -> NoReturn:
        """Leave out the location ("json", "query") that webargs puts around the messages."""
        (messages,) = error.messages_dict.values()
        raise FieldErrors(messages)


class TasksBlueprint(Blueprint):
    """flask-smorest's blueprint with our parser and our problems."""

    ARGUMENTS_PARSER = Parser()

    def problems(self, *statuses: int) -> Any:
        """Document the statuses under which a view answers with a problem document."""

        def decorate(view: Any) -> Any:
            for status in statuses:
                view = self.alt_response(status, schema=ProblemSchema, content_type=MEDIA_TYPE)(view)
            return view

        return decorate


blueprint = TasksBlueprint("tasks", __name__, description="Submit, follow and steer jobs.")
guard(blueprint)
blueprint.before_request(refuse_impossible_ids)
