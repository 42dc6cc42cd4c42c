"""The twenty lines of the tutorials: a route that calls `delay()` and gives back the id."""

from celery_app import app as celery_app
from flask import Flask, jsonify, request

app = Flask(__name__)


@celery_app.task(name="add")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@app.post("/add")
def submit():
    """Submit one job."""
    data = request.get_json()
    return jsonify({"task_id": add.delay(data["a"], data["b"]).id}), 202
