"""The command line, `underpaint`. One module for each command; `main` is its entry point."""

from underpaint.cli.main import main

__all__ = ["main"]
