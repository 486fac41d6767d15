"""The entry point: exit codes, one line for each error, and a quick start."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.cli.conftest import FakePainter, Outcome
from underpaint import __version__
from underpaint.cli.main import app

Run = Callable[..., Outcome]


def test_help_lists_every_command(run: Run) -> None:
    outcome = run("--help")

    assert outcome.code == 0
    for command in ("transform", "serve", "models", "keys", "config", "doctor", "demo"):
        assert command in outcome.output


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    assert run().output == run("--help").output


def test_version(run: Run) -> None:
    assert run("--version").output == f"underpaint {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("transfrom", "photo.jpg", "a prompt"),
        ("transform", "photo.jpg"),
        ("transform", "photo.jpg", "a prompt", "--strength", "2"),
        ("transform", "photo.jpg", "a prompt", "--no-such-option"),
        ("keys", "add"),
        ("keys", "add", " "),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)

    assert outcome.code == 2
    assert outcome.errors.startswith("error: ")
    assert outcome.errors.count("\n") == 1
    assert outcome.output == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("transform", "no-such.jpg", "a prompt"), "no-such.jpg: No such file"),
        (("keys", "revoke", "no-such-key"), "no-such-key"),
        (("models", "remove", "civitai:1@2"), "not on the list"),
        (("models", "show", "civitai:nonsense"), "civitai:nonsense"),
        (("config", "show", "--port", "70000"), "65535"),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(run: Run, arguments: tuple[str, ...], words: str) -> None:
    outcome = run(*arguments)

    assert outcome.code == 1
    assert outcome.errors.startswith("error: ")
    assert words in outcome.errors
    assert outcome.errors.count("\n") == 1


def test_markup_in_what_is_quoted_is_no_markup(run: Run) -> None:
    assert "[red]x[/red].jpg" in run("transform", "[red]x[/red].jpg", "a prompt").errors


def test_an_interrupt_is_exit_code_130_and_no_traceback(run: Run, painter: FakePainter) -> None:
    painter.failure = KeyboardInterrupt()

    outcome = run("transform", "photo.jpg", "a prompt")

    assert (outcome.code, outcome.errors) == (130, "interrupted\n")


def test_a_bug_keeps_its_traceback(run: Run, painter: FakePainter) -> None:
    painter.failure = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        run("transform", "photo.jpg", "a prompt")


def test_every_command_describes_itself() -> None:
    for name in app:
        if not name.startswith("-"):
            assert app[name].help, name


def test_the_command_line_starts_without_loading_torch_or_the_server() -> None:
    program = (
        "import sys; from underpaint.cli import main; code = main(['--help']);"
        "loaded = {'torch', 'diffusers', 'transformers', 'starlette', 'sqlalchemy', 'numpy'} & set(sys.modules);"
        "sys.exit(code or ' '.join(loaded) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_reader_of_a_pipe_may_leave_early() -> None:
    program = "import sys; from underpaint.cli import main; sys.exit(main(['config', 'show', '--json']))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert "Exception" not in process.stderr.read()
