"""Which jobs share the next forward pass: a pure function over plain data.

Work is known exactly, so the job leads whose forwards, in all times left, are the fewest: short jobs do not wait behind
long ones, nor behind the last passes of long ones, which lose a smaller part of their time by waiting (the policy RS of
Wierman, Harchol-Balter and Osogami, SIGMETRICS 2005, made for time in relation to size). The decoding of a picture is
planned like a pass. The jobs of an owner who has had more than others count as longer. One pass in `TURNS` belongs to
the job that has waited longest, if that is as long as it is from one such turn to the next. So nothing starves, and a
short job loses a pass to long ones only if it takes as many itself. Once the leader is chosen, every other job that can
share its pass joins, up to the limit of rows, unless a short job would wait for long ones by that: on a CPU, where a
pass of six rows takes three times as long as one of two, a job of four steps among such of fifty would gain nothing by
running first.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

TURNS = 6
"""One pass in so many goes to the job that has waited longest, if it has waited for all of the passes in between. Four
steps and the decoding of their picture fit in there."""
ALIKE = 2
"""A job of up to so many times the size of the leader may always join it."""
STRETCH = 0.25
"""Longer ones may where its passes take no more than this share longer by it."""
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
    """Passes still to come, and one for the decoding of its picture."""
    forwards: int = 0
    """In all, with those behind it; those that are left where that is more."""
    decodes: bool = False
    """Whether its picture is all that is to come, which is decoded alone."""
    passes_waited: int = 0
    """Passes since its last one, or since its arrival."""
    owner_debt: float = 0.0
    """Passes that its owner has had more than the owner who has had the fewest."""
    loaded: bool = True
    """Whether its model is in memory, and what else has to be there for its passes and not for others'."""

    @property
    def size(self) -> float:
        """Forwards that it counts as: the geometric mean of those that are left and of all."""
        return math.sqrt(self.forwards_left * max(self.forwards, self.forwards_left))

    @property
    def urgency(self) -> float:
        """Its size, and what else holds it back; the least leads."""
        return self.size + self.owner_debt + (0 if self.loaded else LOAD_COST)


PassSeconds = Callable[[Hashable, int], float | None]
"""What a pass of a group and a number of rows takes; None where that is not known."""


def unknown(_group: Hashable, _rows: int) -> None:
    """Where every place in a batch is as good as free, or nothing has been measured."""


def plan(
    candidates: Sequence[Candidate],
    *,
    turn: int,
    row_limit: Callable[[Hashable], int],
    seconds: PassSeconds = unknown,
) -> list[str]:
    """Choose the jobs of the next forward pass.

    Args:
        candidates: all unfinished jobs, in order of arrival, which breaks ties.
        turn: number of the pass, counted on from pass to pass.
        row_limit: most rows of a pass, by group. A single job that needs more still runs, alone.
        seconds: of passes that were measured.

    Returns:
        Identifiers of jobs of one group, the leading job first, or of one whose picture is to be decoded; empty only
        if there are no candidates.
    """
    if not candidates:
        return []
    by_urgency = sorted(candidates, key=lambda candidate: candidate.urgency)
    leader = by_urgency[0]
    if turn % TURNS == 0:
        patient = [one for one in candidates if one.passes_waited >= (TURNS - 1 if one.loaded else LOAD_COST)]
        leader = max(patient, key=lambda candidate: candidate.passes_waited, default=leader)
    return [one.job_id for one in fill(leader, by_urgency, row_limit(leader.group), seconds)]


def fill(
    leader: Candidate, by_urgency: Sequence[Candidate], limit: int, seconds: PassSeconds = unknown
) -> list[Candidate]:
    """The leader and, in order of urgency, all that fit into its pass beside it."""
    chosen, rows = [leader], leader.rows
    if leader.decodes:
        return chosen
    for candidate in by_urgency:
        if candidate is leader or candidate.decodes or candidate.group != leader.group:
            continue
        if rows + candidate.rows > limit:
            continue
        alike = candidate.size <= ALIKE * leader.size
        if alike or not _stretches(leader, rows + candidate.rows, seconds):
            chosen.append(candidate)
            rows += candidate.rows
    return chosen


def _stretches(leader: Candidate, rows: int, seconds: PassSeconds) -> bool:
    """Whether the leader's passes would take longer by more than `STRETCH`, if they had so many rows."""
    alone_s, together_s = seconds(leader.group, leader.rows), seconds(leader.group, rows)
    if alone_s is None or together_s is None:
        return False
    return together_s - alone_s > STRETCH * alone_s
