"""Encoded prompts and seed pictures by content, so that the same work is not done twice.

An upload that is transformed ten times passes through the autoencoder once; twenty results of a request share their
prompts.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

Key = tuple[Hashable, ...]


class ByteBudgetCache:
    """Values up to a number of bytes in all; the least recently used go first."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._values: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def get_or_make(self, key: Key, make: Callable[[], Any], size_of: Callable[[Any], int]) -> Any:
        """The value of a key, made if there is none. A value larger than the whole budget is not kept."""
        if key in self._values:
            self.hits += 1
            self._values.move_to_end(key)
            return self._values[key][0]
        self.misses += 1
        value = make()
        size = size_of(value)
        if size <= self._budget_bytes:
            self._values[key] = (value, size)
            self.size_bytes += size
            while self.size_bytes > self._budget_bytes:
                self._drop(next(iter(self._values)))
        return value

    def forget(self, unwanted: Callable[[Key], bool]) -> None:
        """Drop the values of all keys that are not wanted any more."""
        for key in [key for key in self._values if unwanted(key)]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        _, size = self._values.pop(key)
        self.size_bytes -= size
