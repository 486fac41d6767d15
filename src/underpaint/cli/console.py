"""What commands print to, and how they fail."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 1000
"""Columns of a table that nobody looks at: wide enough for any row."""

output = Console(highlight=False, soft_wrap=True)
"""What was asked for: standard output."""

errors = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress and failures: standard error, so that output can be piped."""


class CommandFailed(Exception):
    """A command could not do what it was asked to. Its message is shown as it is, with exit code 1."""


class UsageError(Exception):
    """The command was called wrongly. Its message is shown as it is, with exit code 2."""


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without lines. On a pipe nothing is cut or wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for title in header:
        # The first is what is copied from there.
        table.add_column(title, overflow="fold", no_wrap=title == header[0])
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if output.is_terminal:
        output.print(table, soft_wrap=False)
    else:
        # A console prints nothing wider than itself, whatever width it is told.
        Console(file=output.file, width=PIPE_WIDTH, highlight=False).print(table)
