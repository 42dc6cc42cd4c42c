"""This service, with the tasks of the benchmarks: the entry point of its workers, and what fills its queue."""

import json
import sys

from make_celery import celery_app, flask_app
from task_app.jobs import publishing, service
from task_app.jobs.submission import Submission
from task_app.mirror.progress import report_progress

from . import ticks

__all__ = ["celery_app", "flask_app"]

for name in ticks.WORKLOADS:
    celery_app.task(name=name)(getattr(ticks, name))


@celery_app.task(name="storm")
def storm(text: str = "") -> None:
    """Report progress very often."""
    ticks.storm(lambda number: report_progress(number, ticks.REPORTS))


def submit(workload: str, number: int) -> None:
    """Accept that many jobs and publish them."""
    wanted = Submission(task=workload, args=json.dumps([ticks.argument(workload)]))
    with flask_app.app_context():
        for start in range(0, number, 1000):
            service.submit_many([wanted] * min(1000, number - start))
        while publishing.dispatch(200):
            pass


if __name__ == "__main__":
    submit(sys.argv[1], int(sys.argv[2]))
