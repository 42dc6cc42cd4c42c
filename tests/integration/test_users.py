"""Users: the table on every database, and the commands."""

import pytest
from click.testing import Result
from flask import Flask

from task_app.errors import InvalidUser, UserExists
from task_app.users import service


def flask(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=arguments)


def test_users_are_kept(every_database: Flask) -> None:
    with every_database.app_context():
        ada = service.add(" Ada Lovelace ", "ada@example.com").id
        assert ada > 0
    with every_database.app_context():
        found = service.get(ada)
        assert found is not None
        assert (found.name, found.email) == ("Ada Lovelace", "ada@example.com")


def test_names_of_all_scripts_are_kept(every_database: Flask) -> None:
    with every_database.app_context():
        names = ["Žofie", "李雷", "O'Brien; DROP TABLE", "🐘"]
        for number, name in enumerate(names):
            service.add(name, f"{number}@example.com")
    with every_database.app_context():
        assert [user.name for user in service.everyone()] == names


def test_an_email_address_belongs_to_one_user(every_database: Flask) -> None:
    with every_database.app_context():
        service.add("Ada", "ada@example.com")
        with pytest.raises(UserExists, match=r"ada@example\.com"):
            service.add("Another", "ada@example.com")
        service.add("Bob", "ADA@example.com")
        assert [user.name for user in service.everyone()] == ["Ada", "Bob"]


@pytest.mark.parametrize("user_id", [0, -1, 2**31 - 1, 2**31, 2**63, 10**40])
def test_any_integer_may_be_asked_for(every_database: Flask, user_id: int) -> None:
    with every_database.app_context():
        assert service.get(user_id) is None


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("", "a@example.com"),
        ("  ", "a@example.com"),
        ("two\nlines", "a@example.com"),
        ("nul\0", "a@example.com"),
        ("n" * 256, "a@example.com"),
        ("Ada", ""),
        ("Ada", "ada"),
        ("Ada", "@example.com"),
        ("Ada", "ada@"),
        ("Ada", "ada lovelace@example.com"),
        ("Ada", "a@example.com, b@example.com"),
        ("Ada", "a@example.com\nBcc: b@example.com"),
        ("Ada", "<a@example.com>"),
        ("Ada", "a..b@example.com"),
        ("Ada", "jörg@example.com"),
        ("Ada", "a" * 250 + "@example.com"),
    ],
)
def test_what_no_mail_can_be_sent_to_is_refused(app: Flask, name: str, email: str) -> None:
    with app.app_context():
        with pytest.raises(InvalidUser):
            service.add(name, email)
        assert service.everyone() == []


def test_the_commands_add_and_list(app: Flask) -> None:
    added = flask(app, "users", "add", "Ada Lovelace", "ada@example.com")
    assert (added.exit_code, added.output) == (0, "Added user 1: Ada Lovelace <ada@example.com>\n")
    assert flask(app, "users", "list").output == "1\tAda Lovelace\tada@example.com\n"


@pytest.mark.parametrize("email", ["ada@example.com", "nobody"])
def test_a_wrong_user_is_one_line_and_an_exit_code(app: Flask, email: str) -> None:
    flask(app, "users", "add", "Ada", "ada@example.com")
    refused = flask(app, "users", "add", "Bob", email)
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
    assert email in refused.output
    assert len(refused.output.splitlines()) == 1
