"""Sessions work as Flask's do."""

from flask import Flask, session

from task_app import sessions


def test_a_session_is_kept_in_its_cookie_and_only_where_it_was_written() -> None:
    app = Flask(__name__)
    app.secret_key = "only for tests"
    sessions.init_app(app)

    @app.get("/count")
    def count() -> str:
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    @app.get("/look")
    def look() -> str:
        return str(session.get("n"))

    client = app.test_client()
    assert "Set-Cookie" not in client.get("/look").headers
    assert [client.get("/count").text for _ in range(3)] == ["1", "2", "3"]
    assert client.get("/look").text == "3"
    assert app.test_client().get("/look").text == "None"
