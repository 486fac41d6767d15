"""What these tests have in common with those of the studio."""

from tests.studio.conftest import open_workplace

__all__ = ["open_workplace"]
