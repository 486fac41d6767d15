"""How the engine is doing, told about once a second, for whoever watches it."""

import time
from collections import Counter
from collections.abc import Callable, Iterable

import psutil
import torch

from underpaint.engine.messages import Vitals

INTERVAL_S = 1.0
"""Time between two reports while there is work."""


class VitalsReporter:
    """Counts forward passes, and reports them with the memory and the models of the moment.

    Args:
        device: where the engine computes.
        emit: takes the reports.
    """

    def __init__(self, device: torch.device, emit: Callable[[Vitals], None]) -> None:
        self._device = device
        self._emit = emit
        self._process = psutil.Process()
        self._passes: Counter[int] = Counter()
        self._seconds = 0.0
        self._told_s = float("-inf")

    def count(self, rows: int, seconds: float) -> None:
        """Take in a forward pass that has run."""
        self._passes[rows] += 1
        self._seconds += seconds

    def tell(self, models: Iterable[str], *, idle: bool) -> None:
        """Report, unless the last report is recent. What ends a stretch of work is always reported."""
        now_s = time.monotonic()
        if now_s - self._told_s < INTERVAL_S and not idle:
            return
        self._told_s = now_s
        self._emit(
            Vitals(
                passes=dict(self._passes),
                pass_seconds=self._seconds,
                memory_bytes=self._memory_bytes(),
                models=tuple(models),
            )
        )
        self._passes.clear()
        self._seconds = 0.0

    def _memory_bytes(self) -> int:
        if self._device.type == "cuda":
            return int(torch.cuda.memory_reserved(self._device))
        return int(self._process.memory_info().rss)
