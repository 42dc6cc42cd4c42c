"""A job that is submitted with the caller's transaction, and a real worker."""

from pathlib import Path

from task_app.extensions import db
from task_app.users.models import User

from .stack import EACH_PAIR, running


@EACH_PAIR
def test_a_worker_sees_what_was_committed_with_the_job_and_nothing_else_runs(
    tmp_path: Path, database: str, broker: str
) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, database, broker) as stack:
        stack.start_worker()
        with stack.app.app_context():
            db.session.add(User(name="Ann", email="ann@example.com"))
            job_id = stack.task("probe.user_name").delay_on_commit("ann@example.com")
            db.session.flush()
            before = stack.until_ended(stack.task("add").delay(1, 1).id) if database != "sqlite" else None
            assert before is None or before.state == "SUCCESS"
            db.session.commit()
            assert stack.until_ended(job_id).result == "Ann"
            stack.task("probe.ledger").delay_on_commit(str(ledger), "rolled back")
            db.session.rollback()
        for n in range(4):
            stack.until_ended(stack.task("add").delay(n, n).id)
        assert not ledger.exists()
        assert stack.counts() == {"SUCCESS": 5 if before is None else 6}
