"""`underpaint keys`."""

import json
from collections.abc import Callable

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]


def test_a_key_is_printed_alone_so_that_it_can_be_piped(run: Run) -> None:
    outcome = run("keys", "add", "laptop")

    assert outcome.code == 0
    assert len(outcome.output.split()) == 1
    assert "not shown again" in outcome.errors


def test_keys_are_listed_without_their_secret(run: Run) -> None:
    key = run("keys", "add", "laptop").output.strip()

    listed = run("keys", "list").output
    assert "laptop" in listed
    assert "valid" in listed
    assert key not in listed


def test_keys_are_listed_as_json(run: Run) -> None:
    run("keys", "add", "laptop")

    [record] = json.loads(run("keys", "list", "--json").output)
    assert (record["name"], record["last_used"], record["revoked"]) == ("laptop", None, None)


def test_without_keys_the_list_says_so(run: Run) -> None:
    outcome = run("keys", "list")

    assert (outcome.code, outcome.output, outcome.errors) == (0, "", "no key was ever made\n")


def test_a_revoked_key_stays_on_the_list(run: Run) -> None:
    run("keys", "add", "laptop")
    [record] = json.loads(run("keys", "list", "--json").output)

    assert run("keys", "revoke", record["key_id"]).code == 0
    assert "revoked" in run("keys", "list").output


def test_a_key_can_be_limited(run: Run) -> None:
    made = run(
        *("keys", "add", "kiosk", "--scope", "inference", "--scope", "search", "--expires-days", "30"),
        *("--requests-per-s", "2", "--queued-tasks", "4", "--queued-pixels", "4000000"),
    )

    assert made.code == 0
    [record] = json.loads(run("keys", "list", "--json").output)
    assert record["scopes"] == ["inference", "search"]
    assert (record["requests_per_s"], record["queued_tasks"], record["queued_pixels"]) == (2, 4, 4000000)
    assert record["expires"] is not None


def test_a_wrong_limit_is_refused(run: Run) -> None:
    assert "positive" in run("keys", "add", "kiosk", "--queued-tasks", "0").errors
    assert "scope" in run("keys", "add", "kiosk", "--scope", "everything").errors.lower()
    assert run("keys", "list").output == ""
