"""Forward passes: how large one may be, and those that are too large for the memory in parts."""

import logging
import time
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from underpaint.diffusion.family import Family, Row
from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.engine.job import Job
from underpaint.engine.memory import free_bytes, peak_of, readable, release_memory
from underpaint.engine.messages import ModelReference
from underpaint.engine.profile import PassProfile
from underpaint.engine.room import PassMemory

log = logging.getLogger(__name__)


class TooLarge(MemoryError):
    """There is no memory for a job. The message is fit to show its owner."""


class Passes:
    """Runs forward passes on one device, and learns what they take.

    Args:
        device: where they run.
        max_rows: most rows of one.
        strict_rows: under strict determinism, the rows of each.
        moves: how often weights have moved so far: those that move during a pass are not what it takes.
        give_up: lets go of something that can be loaded again and is not for a pass of this model; whether there was
            anything.
        ran: told of every pass, its rows and its seconds.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        max_rows: int,
        strict_rows: int | None,
        moves: Callable[[], int],
        give_up: Callable[[ModelReference], bool],
        ran: Callable[[int, float], None],
    ) -> None:
        self._device = device
        self._max_rows = max_rows
        self._strict_rows = strict_rows
        self._moves = moves
        self._give_up = give_up
        self._ran = ran
        self.profile = PassProfile()
        self.memory = PassMemory()

    def row_limit(self, group: Hashable) -> int:
        """Most rows of a pass of that group."""
        if self._strict_rows is not None:
            return self._strict_rows
        return self.profile.rows_that_pay(group, self._max_rows)

    def judged_seconds(self, group: Hashable, rows: int) -> float | None:
        """What a pass takes, for the scheduler."""
        # Under strict determinism a pass has all its rows, whoever is in it.
        return None if self._strict_rows is not None else self.profile.judged_seconds(group, rows)

    def admitted(self, batch: Sequence[Job]) -> list[Job]:
        """As many of the jobs, from the first on, as there is memory for.

        Raises:
            TooLarge: the first is too much alone.
        """
        if not batch:
            return []
        wanted = self._strict_rows or sum(job.row_count for job in batch)
        fitting = self._rows_that_fit(batch, wanted)
        while fitting < (self._strict_rows or 1) and self._give_up(batch[0].model):
            release_memory(self._device)
            fitting = self._rows_that_fit(batch, wanted)
        if fitting < (self._strict_rows or 1):
            raise self._too_large(batch[0])
        admitted, rows = [batch[0]], batch[0].row_count
        for job in batch[1:]:
            if rows + job.row_count <= fitting:
                admitted.append(job)
                rows += job.row_count
        return admitted

    def predict(self, model: Family, batch: Sequence[Job], rows: list[Row], group: Hashable) -> Tensor:
        """One pass over rows of these jobs; in two halves where memory does not suffice for all at once.

        Args:
            model: which predicts.
            batch: the jobs that the rows are of.
            rows: what goes through.
            group: of the jobs, as the scheduler has it.

        Returns:
            Predictions by row.
        """
        job = batch[0]
        if self._strict_rows is not None:
            padding = max(0, self._strict_rows - len(rows))
            return self._measured(model, job, [*rows, *[rows[-1]] * padding], group)[: len(rows)]
        fitting = max(1, self._rows_that_fit(batch, len(rows)))
        if fitting == len(rows):
            try:
                return self._measured(model, job, rows, group)
            except Exception as failure:
                if len(rows) == 1 or not is_out_of_memory(failure):
                    raise
            log.warning("no memory for a pass of %d rows, running it in halves", len(rows))
            # Only here, out of the handler, what the pass had computed is gone, and what is free can be told.
            release_memory(self._device)
            self.memory.refuse(
                job.model,
                rows=len(rows),
                pixels=job.pixels,
                beside=_controlnets(batch),
                free_bytes=free_bytes(self._device),
            )
            fitting = (len(rows) + 1) // 2
        parts = [rows[at : at + fitting] for at in range(0, len(rows), fitting)]
        return torch.cat([self.predict(model, batch, part, group) for part in parts])

    def _rows_that_fit(self, batch: Sequence[Job], most: int) -> int:
        """Rows of a pass of these jobs that there is memory for, up to `most`."""
        return self.memory.rows_that_fit(
            batch[0].model,
            pixels=batch[0].pixels,
            beside=_controlnets(batch),
            free_bytes=free_bytes(self._device),
            most=most,
        )

    def _too_large(self, job: Job) -> TooLarge:
        needed = self.memory.needed_bytes(job.model, rows=self._strict_rows or 1, pixels=job.pixels)
        return TooLarge(
            f"a picture of {job.request.width_px} x {job.request.height_px} pixels needs about {readable(needed)} of "
            f"memory, and {readable(free_bytes(self._device))} are free"
        )

    def _measured(self, model: Family, job: Job, rows: list[Row], group: Hashable) -> Tensor:
        size = {"rows": len(rows), "pixels": job.pixels}
        started_s = time.monotonic()
        # One with shortcuts takes less than a whole one of its size.
        if (rows[0].deep is None or rows[0].deep.due) and self.memory.tells_more(job.model, **size):
            moves = self._moves()
            with peak_of(self._device) as peak:
                predicted = model.predict(rows)
            # Weights that came meanwhile are not what a pass takes.
            if peak.bytes is not None and self._moves() == moves:
                self.memory.record(job.model, **size, peak_bytes=peak.bytes)
        else:
            predicted = model.predict(rows)
        seconds = time.monotonic() - started_s
        self.profile.record(group, len(rows), seconds)
        self._ran(len(rows), seconds)
        return predicted


def _controlnets(batch: Sequence[Job]) -> frozenset[Hashable]:
    """All that jobs have beside their model."""
    return frozenset[Hashable]().union(*(job.controlnets for job in batch))
