"""The entry point: finds the command, runs it, and turns what goes wrong into one line and an exit code."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from underpaint.cli.config import config
from underpaint.cli.console import UsageError, errors
from underpaint.cli.demo import demo
from underpaint.cli.doctor import doctor
from underpaint.cli.keys import keys
from underpaint.cli.models import models
from underpaint.cli.serve import serve
from underpaint.cli.transform import transform
from underpaint.version import __version__

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = App(
    name="underpaint",
    help="Image-to-image on your own machine: a server and a command line that speak the Runware task API.",
    version=f"underpaint {__version__}",
    help_format="markdown",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for each in (transform, serve, demo, doctor):
    app.command(each)
for group in (models, keys, config):
    app.command(group)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit code: 0, 1 for a failure, 2 for a wrong call, 130 when interrupted.

    Raises:
        SystemExit: with 3, by `serve`, where the server cannot start.
    """
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as failure:
        return _fail(str(failure), EXIT_USAGE)
    except UsageError as failure:
        return _fail(str(failure), EXIT_USAGE)
    except KeyboardInterrupt:
        errors.print("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough. Python's own flush at exit would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except Exception as failure:
        if not _is_meant_for_people(failure):
            raise
        return _fail(_sentence(failure), EXIT_FAILURE)
    return code if isinstance(code, int) else 0


def _is_meant_for_people(failure: Exception) -> bool:
    """Whether the message says all that its reader can use: our own errors, and those of files and sockets."""
    return isinstance(failure, OSError) or type(failure).__module__.partition(".")[0] == "underpaint"


def _sentence(failure: Exception) -> str:
    if isinstance(failure, OSError) and failure.strerror:
        return f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror
    return str(failure) or type(failure).__name__


def _fail(message: str, code: int) -> int:
    errors.print(
        f"error: {' '.join(message.split())}", markup=False, style="red" if errors.is_terminal else None
    )
    return code
