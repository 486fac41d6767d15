"""`underpaint serve`: every setting is an option, and reaches the server."""

from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome
from underpaint.cli.main import app
from underpaint.settings import Settings

Run = Callable[..., Outcome]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every server that was started."""
    started: list[Settings] = []
    monkeypatch.setattr("underpaint.server.run.serve", started.append)
    return started


def test_options_reach_the_server(run: Run, served: list[Settings]) -> None:
    outcome = run(
        *("serve", "--host", "0.0.0.0", "--port", "9000", "--log-format", "json", "--fetch-allow-private"),
        *("--alias", "runware:101@1=underpaint:1@2", "--alias", "runware:100@1=underpaint:1@2"),
        *("--fetch-allowed-hosts", "a.example", "--fetch-allowed-hosts", "b.example"),
    )

    assert outcome.code == 0
    [settings] = served
    assert (settings.host, settings.port, settings.log_format) == ("0.0.0.0", 9000, "json")
    assert settings.fetch_allow_private is True
    assert settings.alias == {"runware:101@1": "underpaint:1@2", "runware:100@1": "underpaint:1@2"}
    assert settings.fetch_allowed_hosts == ("a.example", "b.example")


def test_environment_reaches_the_server(
    run: Run, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERPAINT_QUEUE_LIMIT", "7")

    run("serve")

    assert served[0].queue_limit == 7


def test_every_setting_is_an_option_of_serve() -> None:
    options = {
        option for argument in app["serve"].assemble_argument_collection() for option in argument.names
    }

    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in options, name


@pytest.mark.parametrize("option", [("--port", "70000"), ("--threads", "0"), ("--public-url", "example.com")])
def test_a_value_out_of_range_starts_no_server(
    run: Run, served: list[Settings], option: tuple[str, str]
) -> None:
    outcome = run("serve", *option)

    assert outcome.code == 1
    assert option[0].removeprefix("--").replace("-", "_") in outcome.errors
    assert served == []
