"""How many rows of a pass there is memory for, learned from the passes that have run.

What a pass takes beyond the weights grows with its rows and with the pixels of each, so the largest pass that was
measured tells about larger ones. It is an estimate: what cannot be known in advance, the allocation that fails says.
That holds for a while: what else was in memory then may have gone.
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass

RESERVE = 0.1
"""Share of the free memory that is left alone, for what is not measured: the autoencoder, pictures, the system."""
FIXED_BYTES = 64 * 2**20
"""Of a measurement, that does not grow with the pass: kernels, their caches, the stacks of threads."""
REFUSED_FOR_S = 300.0
"""Time after which a size for which there was no memory is tried again."""
CLEARLY_MORE = 1.5
"""Times the memory that was free then, at which it is tried again before."""


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    rows: int
    free_bytes: int
    at_s: float

    def holds(self, free_bytes: int) -> bool:
        """Whether it says something of now, with so much memory free."""
        is_fresh = time.monotonic() - self.at_s <= REFUSED_FOR_S
        return is_fresh and free_bytes <= CLEARLY_MORE * self.free_bytes


class PassMemory:
    """Memory of forward passes by model."""

    def __init__(self) -> None:
        self._measured: dict[Hashable, tuple[int, int]] = {}
        self._refused: dict[Hashable, _Refusal] = {}

    def tells_more(self, model: Hashable, *, rows: int, pixels: int) -> bool:
        """Whether a pass of this size is worth measuring: it is larger than the ones that were."""
        return rows * pixels > self._measured.get(model, (0, 0))[0]

    def record(self, model: Hashable, *, rows: int, pixels: int, peak_bytes: int) -> None:
        """Take in what a pass took at its height. `pixels` are those of one row's picture."""
        size, taken = self._measured.get(model, (1, 0))
        if rows * pixels > size:
            # A pass in memory that an earlier one has left shows less than it needs: then the earlier one tells more.
            taken = max(peak_bytes - FIXED_BYTES, taken * rows * pixels // size)
            self._measured[model] = (rows * pixels, taken)

    def refuse(
        self, model: Hashable, *, rows: int, pixels: int, beside: Hashable = None, free_bytes: int
    ) -> None:
        """Take in that there was no memory for a pass of so many rows.

        Args:
            model: of the pass.
            rows: of the pass.
            pixels: of one row's picture.
            beside: what works beside the model in that pass.
            free_bytes: without what the pass itself had taken.
        """
        known = self._refused.get((model, pixels, beside))
        if known is not None and known.holds(free_bytes):
            rows = min(rows, known.rows)
        self._refused[model, pixels, beside] = _Refusal(
            rows=rows, free_bytes=free_bytes, at_s=time.monotonic()
        )

    def needed_bytes(self, model: Hashable, *, rows: int, pixels: int) -> int:
        """What a pass will take beside the weights, about; 0 where no pass was measured or one as large has run."""
        size, taken = self._measured.get(model, (0, 0))
        return taken * rows * pixels // size if rows * pixels > size > 0 else 0

    def rows_that_fit(
        self, model: Hashable, *, pixels: int, beside: Hashable = None, free_bytes: int, most: int
    ) -> int:
        """Rows, up to `most`, that a pass may have; 0 where not even one fits."""
        refusal = self._refused.get((model, pixels, beside))
        if refusal is not None and not refusal.holds(free_bytes):
            del self._refused[model, pixels, beside]
            refusal = None
        fitting = most if refusal is None else min(most, max(1, refusal.rows - 1))
        room = free_bytes * (1 - RESERVE)
        while fitting and self.needed_bytes(model, rows=fitting, pixels=pixels) > room:
            fitting -= 1
        return fitting
