"""The mirror on every pair of database and broker: the row tells what Celery does, Celery's results read the row."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery, chain, chord, exceptions, group
from celery.result import GroupResult

from task_app.errors import InputMissing
from task_app.jobs import publishing, service

from .probes import Refused
from .stack import Stack

WAIT = 30


def test_a_job_is_followed_to_its_result(pair: Stack) -> None:
    result = pair.task("add").delay(2, 3)
    assert result.get(timeout=WAIT) == 5
    assert result.successful()
    job = pair.job(result.id)
    assert (job.state, job.result, job.attempt, job.args, job.queue) == ("SUCCESS", 5, 1, [2, 3], pair.queue)
    assert job.worker is not None and job.worker.endswith("@test")
    assert job.published_at is not None and job.started_at is not None and job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert job.progress["percent"] == 100


def test_ids_are_time_ordered(pair: Stack) -> None:
    ids = [pair.task("add").delay(1, 1).id for _ in range(5)]
    ids += [member.id for member in group(pair.task("add").s(n, n) for n in range(5)).apply_async()]
    assert ids == sorted(ids)
    assert all(job_id[14] == "7" for job_id in ids)


def test_an_id_brought_by_the_caller_is_kept(pair: Stack) -> None:
    result = pair.task("add").apply_async((1, 2), task_id=f"mine-{pair.queue}")
    assert result.id == f"mine-{pair.queue}"
    assert result.get(timeout=WAIT) == 3


def test_an_error_keeps_type_message_and_traceback(pair: Stack) -> None:
    result = pair.task("probe.fail").delay("no good")
    with pytest.raises(Refused) as caught:
        result.get(timeout=WAIT)
    assert caught.value.args == ("no good", 42)
    assert result.failed() and "in fail" in result.traceback
    error = pair.job(result.id).error
    assert error is not None and error["type"] == "Refused"
    assert "no good" in error["message"] and "in fail" in error["traceback"]


def test_an_error_that_cannot_be_pickled_keeps_its_name(pair: Stack) -> None:
    result = pair.task("probe.fail_needily").delay()
    with pytest.raises(Exception, match="507: no room"):
        result.get(timeout=WAIT)
    error = pair.job(result.id).error
    assert error is not None and (error["type"], error["message"]) == ("Needy", "507: no room")


@pytest.mark.parametrize(
    ("task", "args", "says"),
    [
        ("probe.not_json", (), "can't be written as JSON"),
        ("probe.not_a_number", (), "can't be written as JSON"),
        ("probe.big", (2_000_000,), "the limit is 1048576"),
    ],
)
def test_a_result_that_cannot_be_kept_fails_the_job(pair: Stack, task: str, args: tuple[int, ...], says: str) -> None:
    result = pair.task(task).delay(*args)
    job = pair.until_ended(result.id)
    assert job.state == "FAILURE"
    assert job.error is not None and says in job.error["message"]


def test_a_task_without_result_still_says_success(pair: Stack) -> None:
    job = pair.until_ended(pair.task("probe.quiet").delay().id)
    assert (job.state, job.result) == ("SUCCESS", None)


def test_retries_are_attempts_with_their_errors(pair: Stack) -> None:
    result = pair.task("probe.retry_twice").delay()
    assert result.get(timeout=WAIT) == 2
    job = pair.job(result.id)
    assert (job.attempt, job.retries) == (3, 2)
    assert [(entry["attempt"], entry["state"]) for entry in job.history] == [(1, "RETRY"), (2, "RETRY"), (3, "SUCCESS")]
    assert [entry["error"]["message"] for entry in job.history[:2]] == ["try 0", "try 1"]


def test_a_retry_waits_in_the_table(pair: Stack) -> None:
    result = pair.task("probe.retry_twice").delay(countdown=1.5)
    job = pair.until_state(result.id, "RETRY")
    assert job.published_at is None and job.due_at is not None
    assert job.waiting_for(datetime.now(UTC)) == "due time"
    assert result.get(timeout=WAIT) == 2


@pytest.mark.parametrize("limit", [0, 2])
def test_the_submitted_retry_limit_wins(pair: Stack, limit: int) -> None:
    result = pair.task("probe.retry_for_ever").apply_async(max_retries=limit)
    job = pair.until_ended(result.id)
    assert (job.state, job.attempt, job.options["max_retries"]) == ("FAILURE", limit + 1, limit)


def test_a_task_gets_what_its_hints_promise(pair: Stack) -> None:
    assert pair.task("probe.weekday").delay("2026-11-21").get(timeout=WAIT) == "Saturday"
    assert pair.task("probe.weekday").delay(day=date(2026, 11, 22)).get(timeout=WAIT) == "Sunday"


def test_progress_is_seen_and_the_last_value_kept(pair: Stack) -> None:
    result = pair.task("probe.steps").delay(30, 0.05)
    seen = pair.until_state(result.id, "PROGRESS").progress
    assert seen["total"] == 30 and 1 <= seen["current"] <= 30
    assert result.get(timeout=WAIT) == "done"
    assert pair.job(result.id).meta == {"current": 30, "total": 30, "message": "step 30"}


def test_a_tight_loop_of_reports_writes_little(pair: Stack) -> None:
    result = pair.task("probe.storm").delay(20_000)
    assert result.get(timeout=WAIT) == 20_000
    job = pair.job(result.id)
    assert job.meta["current"] == 20_000
    assert job.started_at is not None and job.finished_at is not None
    seconds = (job.finished_at - job.started_at).total_seconds()
    assert job.version <= 10 + seconds / 0.2


def test_a_custom_state_is_mirrored(pair: Stack) -> None:
    result = pair.task("probe.custom").delay(0.5)
    job = pair.until_state(result.id, "UPLOADING")
    assert job.meta == {"file": "a.bin"} and result.info == {"file": "a.bin"}
    assert result.get(timeout=WAIT) == "uploaded"


def test_a_due_time_waits_in_the_table(pair: Stack) -> None:
    before = datetime.now(UTC)
    result = pair.task("add").apply_async((1, 1), countdown=1.5)
    job = pair.job(result.id)
    assert job.published_at is None and job.waiting_for(datetime.now(UTC)) == "due time"
    assert result.get(timeout=WAIT) == 2
    started = pair.job(result.id).started_at
    assert started is not None and timedelta(seconds=1.5) <= started - before < timedelta(seconds=10)


def test_an_expired_job_is_revoked(pair: Stack) -> None:
    result = pair.task("add").apply_async((1, 1), countdown=1, expires=0.2)
    job = pair.until_ended(result.id)
    assert job.state == "REVOKED" and job.error is not None and job.error["message"] == "expired"


def test_time_limits_end_in_a_clear_failure(pair: Stack) -> None:
    soft = pair.task("probe.sleep").apply_async((20,), soft_time_limit=1)
    hard = pair.task("probe.sleep").apply_async((20,), time_limit=1)
    soft_error, hard_error = pair.until_ended(soft.id).error, pair.until_ended(hard.id).error
    assert soft_error is not None and "soft time limit" in soft_error["message"]
    assert hard_error is not None and "hard time limit of 1 s" in hard_error["message"]


def test_chain_group_and_chord(pair: Stack) -> None:
    add, total = pair.task("add"), pair.task("probe.total")
    assert chain(add.s(1, 1), add.s(2), add.s(3)).delay().get(timeout=WAIT) == 7
    assert group(add.s(n, n) for n in range(4)).apply_async().get(timeout=WAIT) == [0, 2, 4, 6]
    assert chord([add.s(n, n) for n in range(4)], total.s()).delay().get(timeout=WAIT) == 12
    assert chord([add.s(n, n) | add.s(1) for n in range(3)], total.s()).delay().get(timeout=WAIT) == 9
    assert (group(add.s(1, 1), add.s(2, 2)) | total.s() | add.s(10)).delay().get(timeout=WAIT) == 16


def test_members_of_canvas_have_rows_that_know_their_family(pair: Stack) -> None:
    add = pair.task("add")
    second = (add.s(1, 1) | add.s(2)).delay()
    second.get(timeout=WAIT)
    child, first = pair.job(second.id), pair.job(second.parent.id)
    assert child.parent_id == first.id and child.root_id == first.id
    members = group(add.s(1, 1), add.s(2, 2)).apply_async()
    members.get(timeout=WAIT)
    assert {pair.job(member.id).group_id for member in members} == {members.id}


def test_a_failure_reaches_the_end_of_a_chain_and_a_chord(pair: Stack) -> None:
    fail, add, total = pair.task("probe.fail"), pair.task("add"), pair.task("probe.total")
    last = (fail.si() | add.s(2)).delay()
    assert pair.until_ended(last.parent.id).state == "FAILURE"
    until = pair.celery.AsyncResult(last.id)
    with pytest.raises(Refused):
        until.get(timeout=WAIT)
    assert pair.job(last.id).task == "add"
    body = chord([add.s(1, 1), fail.si()], total.s()).delay()
    with pytest.raises((exceptions.ChordError, Refused)):
        body.get(timeout=WAIT)
    assert pair.until_ended(body.id).state == "FAILURE"


def test_results_of_groups_can_be_saved_and_restored(pair: Stack) -> None:
    members = group(pair.task("add").s(n, 1) for n in range(3)).apply_async()
    members.save()
    restored = GroupResult.restore(members.id, app=pair.celery)
    assert restored is not None and restored.get(timeout=WAIT) == [1, 2, 3]


def test_children_of_a_job_are_known(pair: Stack) -> None:
    result = pair.task("probe.parent").delay()
    child = result.get(timeout=WAIT)
    assert [member.id for member in result.children] == [child]
    assert pair.job(child).parent_id == result.id


@pytest.mark.parametrize(("by_chain", "value"), [(False, "the other task"), (True, "end of the chain")])
def test_a_task_can_put_others_in_its_place(pair: Stack, by_chain: bool, value: str) -> None:
    assert pair.task("probe.replaced").delay(by_chain).get(timeout=WAIT) == value


@pytest.mark.parametrize("how", ["chain", "unsendable"])
def test_a_replacement_that_fails_ends_the_job(pair: Stack, how: str) -> None:
    result = pair.task("probe.replaced_badly").delay(how)
    job = pair.until_ended(result.id, patience=20)
    assert job.state == "FAILURE" and job.error is not None
    assert ("no good" if how == "chain" else "can't be written as JSON") in job.error["message"]


def test_a_task_that_asks_for_no_record_does_not_run_for_ever(pair: Stack) -> None:
    ignored = pair.until_ended(pair.task("probe.ignored").delay().id, patience=20)
    assert ignored.state == "REVOKED" and ignored.error is not None and "Ignore" in ignored.error["message"]
    by_hand = pair.until_ended(pair.task("probe.ignored_with_state").delay().id, patience=20)
    assert by_hand.state == "FAILURE" and by_hand.error is not None and "by hand" in by_hand.error["message"]


def test_a_rejected_message_is_tried_again_up_to_the_cap(pair: Stack) -> None:
    job = pair.until_ended(pair.task("probe.rejected").delay().id)
    assert (job.state, job.attempt) == ("FAILURE", 4)
    assert job.error is not None and "not now" in job.error["message"]


def test_a_cancelled_part_fails_its_chord_and_revokes_its_chain(pair: Stack) -> None:
    add, total = pair.task("add"), pair.task("probe.total")
    later = add.s(1, 1).set(countdown=60)
    body = chord([add.s(1, 1), later], total.s()).delay()
    members = [member.id for member in body.parent.results]
    pair.until_ended(members[0])
    with pair.app.app_context():
        service.cancel(members[1])
    assert pair.until_ended(body.id, patience=20).state == "FAILURE"
    last = (add.s(1, 1).set(countdown=60) | add.s(2)).delay()
    with pair.app.app_context():
        service.cancel(last.parent.id)
    assert pair.until_ended(last.id, patience=20).state == "REVOKED"
    with pair.app.app_context():
        service.retry(last.id, args="[1, 2]")
    assert pair.until_ended(last.id).result == 3


def test_a_retried_step_takes_up_the_rest_of_its_chain(pair: Stack) -> None:
    add = pair.task("add")
    last = (add.s(1, "one") | add.s(2) | add.s(3)).delay()
    first, second = last.parent.parent.id, last.parent.id
    assert [pair.until_ended(step).state for step in (last.id, second, first)] == ["FAILURE"] * 3
    with pair.app.app_context():
        with pytest.raises(InputMissing, match=f"retry the step before it, {first},"):
            service.retry(second)
        service.retry(first, args="[1, 1]")
    assert pair.until_state(last.id, "SUCCESS").result == 7
    assert pair.job(second).attempt == pair.job(last.id).attempt == 2


def test_a_retried_part_takes_up_the_body_of_its_chord(pair: Stack) -> None:
    add, total = pair.task("add"), pair.task("probe.total")
    sent = chord([add.s(1, 1), add.s(1, "one") | add.s(0)], total.s()).delay()
    body, part = sent.id, sent.parent.results[1].parent.id
    assert [pair.until_ended(job_id).state for job_id in (part, body)] == ["FAILURE"] * 2
    with pair.app.app_context():
        with pytest.raises(InputMissing, match="retry the parts of its chord"):
            service.retry(body)
        service.retry(part, args="[2, 2]")
    assert pair.until_state(body, "SUCCESS").result == 6


def test_junk_from_others_harms_nobody(pair: Stack) -> None:
    foreign = _foreign(pair)
    foreign.send_task("n" * 300, (1,), queue=pair.queue)
    foreign.send_task("add", (1, 1), queue=pair.queue, task_id="nul\x00in it")
    foreign.send_task("add", (1, 1), queue=pair.queue, group_id="g" * 300)
    foreign.send_task("add", (1, 1), queue=pair.queue, soft_time_limit="abc")
    assert pair.task("add").delay(2, 2).get(timeout=WAIT) == 4


def test_an_impossible_time_limit_is_refused(pair: Stack) -> None:
    with pytest.raises(ValueError, match="soft_time_limit must be a number"):
        pair.task("add").apply_async((1, 1), soft_time_limit="abc")


def test_forget_drops_the_result_and_keeps_the_record(pair: Stack) -> None:
    result = pair.task("add").delay(1, 1)
    result.get(timeout=WAIT)
    result.forget()
    assert pair.celery.AsyncResult(result.id).state == "PENDING"
    assert (pair.job(result.id).state, pair.job(result.id).result) == ("SUCCESS", None)


def test_get_gives_up_in_time(pair: Stack) -> None:
    result = pair.task("add").apply_async((1, 1), countdown=60)
    with pytest.raises(exceptions.TimeoutError):
        result.get(timeout=0.2)
    with pair.app.app_context():
        service.cancel(result.id)


def test_python_values_survive(pair: Stack) -> None:
    value = {"at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "text": "äöü \x00 😀", "n": 2**70, "deep": [[{}]]}
    assert pair.task("probe.echo").delay(value).get(timeout=WAIT) == value


def test_a_foreign_message_is_adopted(pair: Stack) -> None:
    foreign = _foreign(pair)
    now = foreign.send_task("add", (4, 5), queue=pair.queue)
    later = foreign.send_task("add", (4, 6), queue=pair.queue, countdown=2)
    assert pair.celery.AsyncResult(now.id).get(timeout=WAIT) == 9
    waiting = pair.until_state(later.id, "PENDING")
    assert waiting.due_at is not None and waiting.published_at is None
    assert pair.celery.AsyncResult(later.id).get(timeout=WAIT) == 10


def test_an_unknown_task_fails_with_the_reason(pair: Stack) -> None:
    result = pair.celery.send_task("no.such.task", (1,))
    job = pair.until_ended(result.id)
    assert job.state == "FAILURE" and job.error is not None
    assert "no.such.task" in job.error["message"]


def test_a_running_job_is_cancelled(pair: Stack) -> None:
    polite, deaf = pair.task("probe.steps").delay(600, 0.05), pair.task("probe.sleep").delay(30)
    pair.until_state(polite.id, "PROGRESS")
    pair.until_state(deaf.id, "STARTED")
    with pair.app.app_context():
        service.cancel(polite.id)
        service.cancel(deaf.id)
    assert pair.until_ended(polite.id).state == "REVOKED"
    assert pair.until_ended(deaf.id).state == "REVOKED"
    with pytest.raises(exceptions.TaskRevokedError):
        pair.celery.AsyncResult(deaf.id).get(timeout=WAIT)


def test_a_cancelled_job_does_not_retry(pair: Stack) -> None:
    result = pair.task("probe.retry_when_cancelled").delay()
    pair.until_state(result.id, "STARTED")
    with pair.app.app_context():
        service.cancel(result.id)
    job = pair.until_ended(result.id)
    assert (job.state, job.attempt) == ("REVOKED", 1)


def test_an_ended_job_runs_again_on_request(pair: Stack) -> None:
    result = pair.task("probe.fail").delay()
    pair.until_ended(result.id)
    with pair.app.app_context():
        service.retry(result.id, args='["again"]')
    job = pair.until_ended(result.id)
    assert (job.attempt, [entry["attempt"] for entry in job.history]) == (2, [1, 2])
    assert job.error is not None and "again" in job.error["message"]


def test_a_duplicate_message_runs_nothing_twice(pair: Stack, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    result = pair.task("probe.ledger").delay(str(ledger), "ran")
    with pair.app.app_context():
        publishing.publish_by_id(result.id)
        publishing.publish_by_id(result.id)
    result.get(timeout=WAIT)
    # A later job on the same worker ends after the duplicates were dropped.
    for _ in range(4):
        pair.task("add").delay(1, 1).get(timeout=WAIT)
    assert ledger.read_text() == "ran\n"


def test_a_task_that_kills_its_worker_is_given_up(pair: Stack) -> None:
    result = pair.task("probe.die").delay()
    job = pair.until_ended(result.id)
    assert job.state == "FAILURE" and job.attempt == 4
    assert job.error is not None and "4 attempts were lost with their worker" in job.error["message"]
    assert [entry["state"] for entry in job.history] == ["LOST", "LOST", "LOST", "FAILURE"]


def _foreign(pair: Stack) -> Celery:
    """A producer that knows nothing of us but the broker and its options."""
    mine = pair.celery.conf
    foreign = Celery(broker=mine.broker_url, set_as_current=False)
    foreign.conf.broker_transport_options = mine.broker_transport_options
    foreign.conf.task_queue_max_priority = mine.task_queue_max_priority
    return foreign
