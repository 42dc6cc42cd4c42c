"""Runs one attempt of a job inside the test, exactly as a worker's child process does, but without a broker."""

from celery import Celery
from celery.app.trace import build_tracer
from flask import Flask

from task_app.jobs import service
from task_app.jobs.view import JobView


def run_attempt(app: Flask, job_id: str) -> JobView:
    """Let Celery's own tracer run the next attempt of a waiting job; returns the job afterwards."""
    celery: Celery = app.extensions["celery"]
    with app.app_context():
        job = service.get(job_id)
    task = celery.tasks[job.task]
    request = {
        "id": job.id,
        "job_attempt": job.attempt,
        "job_max_retries": job.options["max_retries"],
        "retries": job.retries,
        "hostname": "inprocess@test",
        "root_id": job.root_id,
        "delivery_info": {"routing_key": job.queue},
    }
    build_tracer(task.name, task, app=celery)(job.id, job.args, job.kwargs, request)
    with app.app_context():
        return service.get(job_id)
