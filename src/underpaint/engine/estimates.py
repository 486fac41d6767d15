"""When jobs will be done: the scheduler's policy played forward over what passes have taken so far."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from underpaint.engine.scheduler import LOAD_COST, Candidate, PassSeconds, fill, unknown


def seconds_left(
    candidates: Sequence[Candidate],
    *,
    row_limit: Callable[[Hashable], int],
    pass_seconds: PassSeconds,
    judged_seconds: PassSeconds = unknown,
) -> dict[str, float]:
    """Seconds until each job is done, if nothing else comes.

    Batches are followed from one job's end to the next, so the work grows with the number of jobs and not of passes.
    The passes that the longest-waiting jobs get are left out: they move ends by a part of a batch.

    Args:
        candidates: all unfinished jobs.
        row_limit: most rows of a pass, by group.
        pass_seconds: what a pass of a group and a number of rows takes; None where that is not known.
        judged_seconds: the same of sizes that are well known, by which the scheduler goes.

    Returns:
        Seconds by job, without the jobs behind one whose passes have not been measured.
    """
    waiting = sorted(candidates, key=lambda candidate: candidate.urgency)
    loaded: set[Hashable] = set()
    ends: dict[str, float] = {}
    now_s = 0.0
    while waiting:
        leader = waiting[0]
        batch = fill(leader, waiting, row_limit(leader.group), judged_seconds)
        each_s = pass_seconds(leader.group, sum(candidate.rows for candidate in batch))
        if each_s is None:
            break
        if not leader.loaded and leader.group not in loaded:
            loaded.add(leader.group)
            now_s += LOAD_COST * each_s
        passes = min(candidate.forwards_left for candidate in batch)
        now_s += passes * each_s
        running = {candidate.job_id for candidate in batch}
        waiting = [
            replace(candidate, forwards_left=candidate.forwards_left - passes)
            if candidate.job_id in running
            else candidate
            for candidate in waiting
        ]
        ends |= {candidate.job_id: now_s for candidate in waiting if not candidate.forwards_left}
        waiting = [candidate for candidate in waiting if candidate.forwards_left]
    return ends
