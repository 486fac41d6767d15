"""Which part of a request it was that could not be used: a model that it names, by its place."""

from collections.abc import Iterator
from contextlib import contextmanager

from underpaint.diffusion.family import ModelLoadError
from underpaint.engine.messages import PartName, RequestPart


class PartRefused(ModelLoadError):
    """A `ModelLoadError` that says of which part of the request it speaks."""

    def __init__(self, message: str, part: RequestPart) -> None:
        super().__init__(message)
        self.part = part


@contextmanager
def refusing(name: PartName, index: int | None = None) -> Iterator[None]:
    """Say of what is refused within that it is this part. Raises `PartRefused` in place of `ModelLoadError`."""
    try:
        yield
    except ModelLoadError as refusal:
        raise PartRefused(str(refusal), RequestPart(name, index)) from refusal
