"""When jobs will be done: the scheduler's policy played forward over what passes have taken so far."""

from collections.abc import Callable, Hashable, Sequence

from underpaint.engine.scheduler import LOAD_COST, Candidate, fill


def seconds_left(
    candidates: Sequence[Candidate],
    *,
    row_limit: Callable[[Hashable], int],
    pass_seconds: Callable[[Hashable, int], float | None],
) -> dict[str, float]:
    """Seconds until each job is done, if nothing else comes.

    Batches are followed from one job's end to the next, so the work grows with the number of jobs and not of passes.
    The passes that the longest-waiting jobs get are left out: they move ends by a part of a batch.

    Args:
        candidates: all unfinished jobs.
        row_limit: most rows of a pass, by group.
        pass_seconds: what a pass of a group and a number of rows takes; None where that is not known.

    Returns:
        Seconds by job, without the jobs behind one whose passes have not been measured.
    """
    waiting = sorted(candidates, key=lambda candidate: candidate.urgency)
    left = {candidate.job_id: candidate.forwards_left for candidate in waiting}
    loaded: set[Hashable] = set()
    ends: dict[str, float] = {}
    now_s = 0.0
    while waiting:
        leader = waiting[0]
        batch = fill(leader, waiting, row_limit(leader.group))
        each_s = pass_seconds(leader.group, sum(candidate.rows for candidate in batch))
        if each_s is None:
            break
        if not leader.loaded and leader.group not in loaded:
            loaded.add(leader.group)
            now_s += LOAD_COST * each_s
        passes = min(left[candidate.job_id] for candidate in batch)
        now_s += passes * each_s
        for candidate in batch:
            left[candidate.job_id] -= passes
            if not left[candidate.job_id]:
                ends[candidate.job_id] = now_s
        waiting = [candidate for candidate in waiting if left[candidate.job_id]]
    return ends
