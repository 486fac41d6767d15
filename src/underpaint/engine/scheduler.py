"""Which jobs share the next forward pass: a pure function over plain data.

Remaining work is known exactly, so the job with the least of it leads and short jobs do not wait behind long ones. The
jobs of an owner who has had more than others count as longer. One pass in `TURNS` belongs to the job that has waited
longest, so nothing starves, and a short job loses no more than one pass in `TURNS` to it. Once the leader is chosen,
every other job that can share its pass joins, up to the limit of rows: a place in a batch costs little.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

TURNS = 4
"""One pass in so many goes to the job that has waited longest."""
LOAD_COST = 40
"""Forwards that loading a model counts as, and passes that a job waits for its model while others have work: the engine
does not swap models for every short job."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What the scheduler knows of a job."""

    job_id: str
    group: Hashable
    """Jobs of equal groups can share a pass: same model and latent shape."""
    rows: int
    """Rows that it takes in a pass: 2 with guidance, 1 without."""
    forwards_left: int
    passes_waited: int = 0
    """Passes since its last one, or since its arrival."""
    owner_debt: float = 0.0
    """Passes that its owner has had more than the owner who has had the fewest."""
    loaded: bool = True
    """Whether its model is in memory."""

    @property
    def urgency(self) -> float:
        """Forwards that it counts as; the least leads."""
        return self.forwards_left + self.owner_debt + (0 if self.loaded else LOAD_COST)


def plan(candidates: Sequence[Candidate], *, turn: int, row_limit: Callable[[Hashable], int]) -> list[str]:
    """Choose the jobs of the next forward pass.

    Args:
        candidates: all unfinished jobs, in order of arrival, which breaks ties.
        turn: number of the pass, counted on from pass to pass.
        row_limit: most rows of a pass, by group. A single job that needs more still runs, alone.

    Returns:
        Identifiers of jobs of one group, the leading job first; empty only if there are no candidates.
    """
    if not candidates:
        return []
    by_urgency = sorted(candidates, key=lambda candidate: candidate.urgency)
    leader = by_urgency[0]
    if turn % TURNS == 0:
        patient = [one for one in candidates if one.loaded or one.passes_waited >= LOAD_COST]
        leader = max(patient, key=lambda candidate: candidate.passes_waited, default=leader)
    return [one.job_id for one in fill(leader, by_urgency, row_limit(leader.group))]


def fill(leader: Candidate, by_urgency: Sequence[Candidate], limit: int) -> list[Candidate]:
    """The leader and, in order of urgency, all that fit into its pass beside it."""
    chosen, rows = [leader], leader.rows
    for candidate in by_urgency:
        if candidate is not leader and candidate.group == leader.group and rows + candidate.rows <= limit:
            chosen.append(candidate)
            rows += candidate.rows
    return chosen
