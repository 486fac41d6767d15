"""How long forward passes take, measured as they run, and how large a batch pays.

On a GPU that is not full, eight rows take little longer than two. On a CPU that two rows fill, eight take four times as
long: batching them gains nothing and makes every job in the batch wait for the others.
"""

from collections.abc import Hashable
from dataclasses import dataclass

SMOOTHING = 0.2
"""Weight of the latest pass in the mean."""
GAIN = 0.05
"""A larger batch pays if it takes this share less time for each row."""
SAMPLES = 3
"""Passes of a size after which it is judged: the first allocates memory, and any one may have been disturbed."""


@dataclass
class _Measured:
    mean_s: float
    least_s: float
    samples: int = 1


class PassProfile:
    """Seconds of a forward pass by group and number of rows."""

    def __init__(self) -> None:
        self._measured: dict[Hashable, dict[int, _Measured]] = {}

    def record(self, group: Hashable, rows: int, seconds: float) -> None:
        """Take in a pass that has run."""
        sizes = self._measured.setdefault(group, {})
        known = sizes.get(rows)
        if known is None:
            sizes[rows] = _Measured(mean_s=seconds, least_s=seconds)
            return
        known.mean_s += SMOOTHING * (seconds - known.mean_s)
        known.least_s = min(known.least_s, seconds)
        known.samples += 1

    def seconds(self, group: Hashable, rows: int) -> float | None:
        """What a pass takes at present; scaled from the nearest size that was measured, None if none was."""
        sizes = self._measured.get(group)
        if not sizes:
            return None
        nearest = min(sizes, key=lambda known: abs(known - rows))
        return sizes[nearest].mean_s * rows / nearest

    def judged_seconds(self, group: Hashable, rows: int) -> float | None:
        """What a pass takes that nothing disturbs; None for a size that is not yet judged."""
        known = self._measured.get(group, {}).get(rows)
        return known.least_s if known is not None and known.samples >= SAMPLES else None

    def rows_that_pay(self, group: Hashable, most: int) -> int:
        """The largest batch, up to `most` rows, that is worth building; sizes not yet judged count as worth it."""
        judged = {
            rows: known.least_s / rows
            for rows, known in self._measured.get(group, {}).items()
            if rows <= most and known.samples >= SAMPLES
        }
        best = 0
        for rows in sorted(judged):
            if best == 0 or judged[rows] <= (1 - GAIN) * judged[best]:
                best = rows
        return best if best and best < max(judged) else most
