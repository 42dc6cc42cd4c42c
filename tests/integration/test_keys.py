"""Keys: the table on every database, and the commands."""

import json
import re
import threading
from datetime import timedelta

import pytest
from click.testing import Result
from flask import Flask

from task_app.errors import InvalidKeyName, KeyExists, KeyNotFound
from task_app.jobs.runtime import utcnow
from task_app.keys import service, text
from task_app.keys.memory import KeyMemory
from task_app.keys.roles import Role


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app of the tests is ready; its broker is away."""
    monkeypatch.setattr("task_app.startup.start_or_exit", lambda app: None)


def flask(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=arguments)


def test_roles_are_steps() -> None:
    assert Role.VIEWER < Role.OPERATOR < Role.ADMIN
    assert Role.ADMIN >= Role.VIEWER and not Role.VIEWER >= Role.OPERATOR
    assert all(role.may for role in Role)


def test_a_key_is_found_by_its_text_and_nothing_else(every_database: Flask) -> None:
    with every_database.app_context():
        key, key_text = service.create(" Anna's laptop 🐘 ", Role.OPERATOR)
        service.create("another", Role.ADMIN)
        found = service.find(key_text)
        assert found is not None
        assert (found.id, found.name, found.role, found.is_live) == (key.id, "Anna's laptop 🐘", Role.OPERATOR, True)
        assert abs(found.created_at - utcnow()) < timedelta(minutes=1)
        prefix, key_id, secret = key_text.split("_")
        other = "0" if secret[-1] != "0" else "1"
        for wrong in (
            "",
            key_text[:-1],
            key_text[:-1] + other,
            key_text.upper(),
            key_text + "\n",
            f"{prefix}_{'0' * 16}_{secret}",
            f"{prefix}_{key_id}_{'0' * 64}",
            f"{prefix}_{key_id}_",
            "x" * 100_000,
            "\ud800",
        ):
            assert service.find(wrong) is None, wrong


def test_only_a_digest_is_kept(every_database: Flask) -> None:
    with every_database.app_context():
        key, key_text = service.create("a", Role.VIEWER)
        secret = key_text.rpartition("_")[2]
        assert len(bytes.fromhex(secret)) * 8 == 256
        kept = service.get(key.id)
        assert kept is not None
        assert kept.digest == text.digest_of(secret)
        assert secret not in repr(kept) and kept.digest not in repr(kept)
        assert re.fullmatch(r"taskapp_[0-9a-f]{16}_[0-9a-f]{64}", key_text)
        assert key_text.startswith(f"taskapp_{key.id}_")


def test_a_revoked_key_opens_nothing_and_frees_its_name(every_database: Flask) -> None:
    with every_database.app_context():
        _, first = service.create("ci", Role.VIEWER)
        with pytest.raises(KeyExists, match="ci"):
            service.create("ci", Role.ADMIN)
        revoked = service.revoke("ci")
        assert revoked.revoked_at is not None
        assert service.find(first) is None
        assert service.revoke("ci") == revoked
        _, second = service.create("ci", Role.ADMIN)
        assert service.find(first) is None
        assert service.find(second) is not None
        assert [(key.name, key.is_live) for key in service.everyone()] == [("ci", True)]
        with pytest.raises(KeyNotFound, match="nobody"):
            service.revoke("nobody")


def test_names_are_compared_exactly(every_database: Flask) -> None:
    with every_database.app_context():
        for name in ("ci", "CI", "çi"):
            service.create(name, Role.VIEWER)
        service.revoke("CI")
        assert [(key.name, key.is_live) for key in service.everyone()] == [("ci", True), ("çi", True), ("CI", False)]


def test_of_two_who_take_a_name_at_once_one_gets_it(every_database: Flask) -> None:
    ready = threading.Barrier(4)
    outcomes: list[str | None] = []

    def take() -> None:
        with every_database.app_context():
            ready.wait()
            try:
                outcomes.append(service.create("same", Role.VIEWER)[1])
            except KeyExists:
                outcomes.append(None)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [text for text in outcomes if text]
    assert len(outcomes) == 4
    with every_database.app_context():
        assert service.find(won) is not None
        assert len(service.everyone()) == 1


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "nul\0", "\ud800", "\u202egpj.exe", "n" * 101])
def test_bad_names_are_refused(app: Flask, name: str) -> None:
    with app.app_context():
        with pytest.raises(InvalidKeyName, match="1 to 100"):
            service.create(name, Role.VIEWER)
        assert service.everyone() == []


def test_whether_there_is_a_live_key(every_database: Flask) -> None:
    with every_database.app_context():
        assert not service.any_live()
        service.create("a", Role.VIEWER)
        assert service.any_live()
        service.revoke("a")
        assert not service.any_live()


def test_use_is_noted_at_most_once_a_minute(every_database: Flask) -> None:
    with every_database.app_context():
        key, _ = service.create("a", Role.VIEWER)

        def used(seconds: float) -> float | None:
            service.note_use(key.id, key.created_at + timedelta(seconds=seconds))
            kept = service.get(key.id)
            assert kept is not None and kept.used_at is not None
            return (kept.used_at - key.created_at).total_seconds()

        assert [used(1), used(30), used(60.9), used(61.1), used(100)] == [1, 1, 1, 61.1, 61.1]


def test_what_is_remembered_is_no_older_than_its_time(app: Flask) -> None:
    with app.app_context():
        key, _ = service.create("a", Role.VIEWER)
        for_ever, not_at_all = KeyMemory(3600), KeyMemory(0)
        assert all(memory.get(key.id) and memory.any_live() for memory in (for_ever, not_at_all))
        service.revoke("a")
        assert for_ever.any_live() and not not_at_all.any_live()
        old, new = for_ever.get(key.id), not_at_all.get(key.id)
        assert old is not None and old.is_live
        assert new is not None and not new.is_live
        for_ever.forget()
        assert not for_ever.any_live()


# -- commands ----------------------------------------------------------------------------------------------------------


def test_create_prints_the_key_alone(app: Flask, started: None) -> None:
    made = flask(app, "keys", "create", "Anna", "--role", "operator")
    assert made.exit_code == 0
    assert text.PATTERN.fullmatch(made.stdout.removesuffix("\n"))
    assert "Anna" in made.stderr and made.stdout.strip() not in made.stderr
    with app.app_context():
        found = service.find(made.stdout.strip())
    assert found is not None
    assert (found.name, found.role) == ("Anna", Role.OPERATOR)


@pytest.mark.parametrize("name", ["", "Anna", "two\nlines"])
def test_a_name_that_can_not_be_is_one_line_and_an_exit_code(app: Flask, started: None, name: str) -> None:
    flask(app, "keys", "create", "Anna", "--role", "viewer")
    refused = flask(app, "keys", "create", name, "--role", "viewer")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: ") and len(refused.stderr.splitlines()) == 1


def test_roles_are_asked_for_and_checked(app: Flask, started: None) -> None:
    for wrong in ((), ("--role", "root")):
        refused = flask(app, "keys", "create", "Anna", *wrong)
        assert refused.exit_code == 2
        assert all(role.value in refused.stderr for role in Role)


def test_list_and_revoke(app: Flask, started: None) -> None:
    secret = flask(app, "keys", "create", "Anna", "--role", "admin").stdout.strip()
    flask(app, "keys", "create", "Bob", "--role", "viewer")
    assert flask(app, "keys", "revoke", "Bob").exit_code == 0
    missing = flask(app, "keys", "revoke", "Cleo")
    assert (missing.exit_code, missing.stderr) == (1, "Error: there is no key with the name Cleo\n")
    table = flask(app, "keys", "list").stdout.splitlines()
    assert [line.split("\t")[:2] for line in table] == [["Anna", "admin"], ["Bob", "viewer"]]
    listed = json.loads(flask(app, "keys", "list", "--json").stdout)
    assert [(key["name"], key["role"], key["revoked_at"] is None) for key in listed] == [
        ("Anna", "admin", True),
        ("Bob", "viewer", False),
    ]
    assert secret.startswith(f"taskapp_{listed[0]['id']}_")
    assert not any("digest" in key for key in listed)
    assert secret.rpartition("_")[2] not in json.dumps(listed)
