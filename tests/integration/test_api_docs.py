"""/openapi.json and /docs."""

import re
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from task_app import create_app

from ..conftest import dispose, settings_for
from .test_api_submit import add_task

RULE_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")


def test_every_route_is_documented(app: Flask, client: FlaskClient) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(("tasks.", "health.")) and rule.endpoint != "tasks.submit_by_name":
            documented = paths[RULE_VARIABLE.sub(r"{\1}", rule.rule)]
            assert {method.lower() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}} <= documented.keys()


def test_every_operation_says_what_it_does_and_how_it_fails(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1.")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            assert operation["summary"], (method, path)
            assert any(status.startswith("2") for status in operation["responses"])
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert response["content"].keys() == {"application/problem+json"}, (method, path, status)


def test_the_arguments_of_every_task_are_documented(app: Flask, client: FlaskClient) -> None:
    def late(n: int, text: str = "x") -> None:
        """Come after the app was built.

        Details.
        """

    add_task(app, late, name="late")
    operation = client.get("/openapi.json").get_json()["paths"]["/tasks/late"]["post"]
    assert (operation["summary"], operation["description"]) == ("Come after the app was built.", "Details.")
    body = operation["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"] == body["content"]["application/x-www-form-urlencoded"]
    assert body["content"]["application/json"]["schema"]["properties"]["n"] == {"type": "integer"}
    assert "202" in operation["responses"]


def test_references_lead_somewhere(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                found = document
                for step in value["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)


def test_the_page_takes_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs/").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any(asset.endswith("swagger-ui-bundle.js") for asset in assets)
    for asset in assets:
        assert asset.startswith("/docs/")
        with client.get(asset) as response:
            assert response.status_code == 200
    assert "http" not in re.sub(r"http://localhost/docs/oauth2-redirect.html", "", page)
    assert '"validatorUrl": null' in page
    assert client.get("/docs").status_code == 308
    assert client.get("/docs/%2e%2e/%2e%2e/setup.py").status_code == 404


def test_many_apps_in_a_process_have_documents_of_their_own(app: Flask, client: FlaskClient, tmp_path: Any) -> None:
    other = create_app(settings_for(tmp_path))

    def only_here() -> None: ...

    add_task(other, only_here, name="only_here")
    assert "/tasks/only_here" in other.test_client().get("/openapi.json").get_json()["paths"]
    assert "/tasks/only_here" not in client.get("/openapi.json").get_json()["paths"]
    dispose(other)
