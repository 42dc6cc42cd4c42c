"""/task-types: what can be submitted, and how."""

from flask import Flask
from flask.testing import FlaskClient

from .test_api_submit import add_task, hidden


def test_task_types_say_what_can_be_submitted_and_how(app: Flask, client: FlaskClient) -> None:
    def resize(width: int, height: int = 100) -> None:
        """Resize it.

        And more.
        """

    add_task(app, resize, name="resize", time_limit=20, soft_time_limit=10, max_retries=1, rate_limit="10/m")
    add_task(app, hidden, name="hidden", public=False)
    app.extensions["celery"].conf.task_routes = {"resize": {"queue": "images"}}
    types = {one["name"]: one for one in client.get("/task-types").get_json()}
    assert not [name for name in types if name.startswith("celery.") or name == "hidden"]
    assert types.keys() >= {"add", "block", "process", "long_task", "sleep_task", "send_email", "flaky", "resize"}
    assert types["resize"] == {
        "name": "resize",
        "summary": "Resize it.",
        "schema": {
            "type": "object",
            "properties": {"width": {"type": "integer"}, "height": {"type": "integer", "default": 100}},
            "required": ["width"],
            "additionalProperties": False,
        },
        "queue": "images",
        "soft_time_limit": 10,
        "time_limit": 20,
        "max_retries": 1,
        "rate_limit": "10/m",
    }
