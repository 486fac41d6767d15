"""How many rows of a pass there is memory for, learned from the passes that have run.

What a pass takes beyond the weights grows with its rows and with the pixels of each, so the largest pass that was
measured tells about larger ones. It is an estimate: what cannot be known in advance, the allocation that fails says.
"""

from collections.abc import Hashable

RESERVE = 0.1
"""Share of the free memory that is left alone, for what is not measured: the autoencoder, pictures, the system."""
FIXED_BYTES = 64 * 2**20
"""Of a measurement, that does not grow with the pass: kernels, their caches, the stacks of threads."""


class PassMemory:
    """Memory of forward passes by model."""

    def __init__(self) -> None:
        self._measured: dict[Hashable, tuple[int, int]] = {}
        self._refused: dict[tuple[Hashable, int], int] = {}

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

    def refuse(self, model: Hashable, *, rows: int, pixels: int) -> None:
        """Take in that there was no memory for a pass of so many rows."""
        known = self._refused.get((model, pixels), rows)
        self._refused[model, pixels] = min(known, rows)

    def needed_bytes(self, model: Hashable, *, rows: int, pixels: int) -> int:
        """What a pass will take beside the weights, about; 0 where no pass was measured or one as large has run."""
        size, taken = self._measured.get(model, (0, 0))
        return taken * rows * pixels // size if rows * pixels > size > 0 else 0

    def rows_that_fit(self, model: Hashable, *, pixels: int, free_bytes: int, most: int) -> int:
        """Rows, up to `most`, that a pass may have; 0 where not even one fits."""
        refused = self._refused.get((model, pixels))
        fitting = most if refused is None else min(most, max(1, refused - 1))
        room = free_bytes * (1 - RESERVE)
        while fitting and self.needed_bytes(model, rows=fitting, pixels=pixels) > room:
            fitting -= 1
        return fitting
