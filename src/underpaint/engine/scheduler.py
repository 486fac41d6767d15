"""Which jobs share the next forward pass: a pure function over plain data.

Remaining work is known exactly, so the job with the least of it goes first and short jobs do not wait behind long
ones. Every pass that a job is left out of makes it count as shorter for good, so a long one comes to its turn and then
keeps it. Once the first job is chosen, every other job that can share its pass joins, up to the limit of rows: a place
in a batch costs little.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

AGING = 0.5
"""Forwards by which a job counts as shorter for each pass that it has been left out of."""
LOAD_COST = 40
"""Forwards that loading a model counts as, so that the engine does not swap models for every short job."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What the scheduler knows of a job."""

    job_id: str
    group: Hashable
    """Jobs of equal groups can share a pass: same model, latent shape and number of tokens."""
    rows: int
    """Rows that it takes in a pass: 2 with guidance, 1 without."""
    forwards_left: int
    passes_left_out: int
    """Passes since its arrival in which it had no place."""
    loaded: bool
    """Whether its model is in memory."""


def plan(candidates: Sequence[Candidate], *, max_rows: int) -> list[str]:
    """Choose the jobs of the next forward pass.

    Args:
        candidates: all unfinished jobs, in order of arrival, which breaks ties.
        max_rows: most rows of a pass. A single job that needs more still runs, alone.

    Returns:
        Identifiers of jobs of one group, the leading job first; empty only if there are no candidates.
    """
    if not candidates:
        return []
    by_urgency = sorted(candidates, key=_remaining)
    leader = by_urgency[0]
    chosen, rows = [leader.job_id], leader.rows
    for candidate in by_urgency[1:]:
        if candidate.group == leader.group and rows + candidate.rows <= max_rows:
            chosen.append(candidate.job_id)
            rows += candidate.rows
    return chosen


def _remaining(candidate: Candidate) -> float:
    load = 0 if candidate.loaded else LOAD_COST
    return candidate.forwards_left + load - AGING * candidate.passes_left_out
