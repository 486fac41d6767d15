"""Short jobs that arrive while long ones run: how long they take, and how much later the long ones finish.

python -m benchmarks.fairness [--schedules 6]

Passes are counted as well as seconds: the count does not depend on what else the machine does, and by the clock a pass
that is shared takes longer than one alone, and pictures are encoded and decoded between passes. A job arrives somewhere
within a pass, and waits for the end of it as it would in a server. Extra seconds are told in forwards: passes of the
long jobs alone, with all of them in it.

Short jobs take the engine's time, by which long ones must be later whatever the scheduler does. So they come as often
as asks for a stated share of it, `--load`, measured by what one takes alone; what long jobs lose beyond that is the
scheduler's doing.
"""

import argparse
import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.sides import Asked, Ours, engine_options_of, options_of, photo, report, spread

WANTED_EXTRA_FORWARDS = 3.0
WANTED_LATER = 0.25


@dataclass(frozen=True, kw_only=True)
class Taken:
    """From a job's arrival to its picture."""

    passes: float
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrival:
    """A job, and when it comes: in which pass, and at which share of it."""

    asked: Asked
    owner: str
    pass_number: int = 0
    share: float = 1.0


def run(ours: Ours, arrivals: list[Arrival]) -> list[Taken]:
    """Run jobs to their end; those of pass 0 are there before the first."""
    waiting = sorted(enumerate(arrivals, 1), key=lambda numbered: numbered[1].pass_number)
    came: dict[str, tuple[int, float, float]] = {}
    taken: dict[int, Taken] = {}
    passes = 0
    pass_began_s = pass_ended_s = time.perf_counter()
    while waiting or came:
        while waiting and (waiting[0][1].pass_number <= passes or not ours.engine.busy):
            number, arrival = waiting.pop(0)
            [job_id] = ours.submit(arrival.asked, owner=arrival.owner)
            came_in_s = arrival.share * (pass_ended_s - pass_began_s)
            came[job_id] = (number, passes - 1 + arrival.share, pass_began_s + came_in_s)
        pass_began_s = time.perf_counter()
        ours.engine.tick()
        pass_ended_s = time.perf_counter()
        passes += 1
        for job_id in [job_id for job_id in came if job_id in ours.finished]:
            number, came_in_pass, came_s = came.pop(job_id)
            del ours.finished[job_id]
            taken[number] = Taken(passes=passes - came_in_pass, seconds=pass_ended_s - came_s)
    return [taken[number] for number in range(1, len(arrivals) + 1)]


def company(ours: Ours, wanted: argparse.Namespace, *, short_px: int, one_owner: bool) -> dict[str, object]:
    """Short jobs among long ones, and the same jobs alone; medians of `wanted.rounds` tries for each job."""
    dice = random.Random(short_px + one_owner)
    long_job = Asked(size_px=wanted.size, steps=wanted.long_steps, strength=1.0, picture=photo(wanted.size))
    short_job = Asked(size_px=short_px, steps=wanted.short_steps, strength=1.0, picture=photo(short_px))
    visitor = "resident" if one_owner else "visitor"
    residents = [
        Arrival(asked=replace(long_job, seed=number), owner="resident") for number in range(wanted.long_jobs)
    ]
    # Once around unmeasured: what the engine keeps of prompts and pictures, and its judgment of batch sizes, is there.
    run(ours, [*residents, Arrival(asked=short_job, owner=visitor, pass_number=5)])

    alone: list[list[Taken]] = []
    by_itself: list[Taken] = []
    for _ in range(wanted.rounds):
        by_itself += run(ours, [Arrival(asked=short_job, owner=visitor)])
        alone.append(run(ours, residents))
    last_pass = int(max(taken.passes for taken in alone[0]))
    short_alone = median_of(by_itself)
    forward_s = statistics.median(max(taken.seconds for taken in jobs) for jobs in alone) / last_pass
    every = math.ceil(max(short_alone.seconds / forward_s, short_alone.passes) / wanted.load)
    short_ones: list[Taken] = []
    later_passes: list[float] = []
    later_s: list[float] = []
    for _ in range(wanted.schedules):
        visits = [
            Arrival(
                asked=short_job,
                owner=visitor,
                pass_number=start + dice.randrange(min(every, last_pass) // 2),
                share=dice.random(),
            )
            for start in range(1, max(2, last_pass - every // 2), every)
        ]
        rounds = [run(ours, [*residents, *visits]) for _ in range(wanted.rounds)]
        among = [median_of(tries) for tries in zip(*rounds, strict=True)]
        short_ones += among[len(residents) :]
        undisturbed = [median_of(tries) for tries in zip(*alone, strict=True)]
        pairs = list(zip(undisturbed, among[: len(residents)], strict=True))
        later_passes.append(max(late.passes / early.passes for early, late in pairs) - 1)
        later_s.append(max(late.seconds / early.seconds for early, late in pairs) - 1)

    extra_passes = [taken.passes - short_alone.passes for taken in short_ones]
    extra_s = [(taken.seconds - short_alone.seconds) / forward_s for taken in short_ones]
    return {
        "long_px": wanted.size,
        "short_px": short_px,
        "one_owner": one_owner,
        "short_jobs": len(short_ones),
        "passes_between_short_jobs": every,
        "short_alone": {"passes": short_alone.passes, "seconds": round(short_alone.seconds, 4)},
        "long_forward_seconds": round(forward_s, 4),
        "short_p95_extra_forwards": {"by_passes": p95(extra_passes), "by_seconds": p95(extra_s)},
        "short_median_extra_forwards": {
            "by_passes": round(statistics.median(extra_passes), 2),
            "by_seconds": round(statistics.median(extra_s), 2),
        },
        "long_later": {"by_passes": spread(later_passes), "by_seconds": spread(later_s)},
    }


def median_of(tries: Sequence[Taken]) -> Taken:
    """What one job took, tried again and again with the same arrivals: a busy machine does not show in it."""
    return Taken(
        passes=statistics.median(taken.passes for taken in tries),
        seconds=statistics.median(taken.seconds for taken in tries),
    )


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return round(float(np.percentile(values, 95)), 2)


def main() -> None:
    """Measure and report."""
    options = options_of(__doc__, rounds=3)
    options.add_argument("--size", type=int, default=128, help="width and height of the long jobs, in pixels")
    options.add_argument("--other-size", type=int, default=192, help="of short jobs that cannot share passes")
    options.add_argument("--long-steps", type=int, default=50)
    options.add_argument("--long-jobs", type=int, default=2)
    options.add_argument("--short-steps", type=int, default=4)
    options.add_argument("--schedules", type=int, default=6, help="of arrivals, each tried in every round")
    options.add_argument(
        "--load", type=float, default=0.16, help="share of the engine's time that short jobs ask for"
    )
    options.add_argument("--max-rows", type=int, default=8, help="most rows of a forward pass")
    wanted = options.parse_args()

    ours = Ours(wanted.model, **engine_options_of(wanted), max_rows=wanted.max_rows)
    companies = {
        f"{size}, {owners}": company(ours, wanted, short_px=short_px, one_owner=one_owner)
        for size, short_px in (("same size", wanted.size), ("another size", wanted.other_size))
        for owners, one_owner in (("two owners", False), ("one owner", True))
    }
    met: dict[str, bool] = {}
    said: list[str] = []
    for name, found in companies.items():
        extra, later = found["short_p95_extra_forwards"], found["long_later"]
        assert isinstance(extra, dict)
        assert isinstance(later, dict)
        met[f"{name}: short jobs within {WANTED_EXTRA_FORWARDS:g} forwards"] = (
            extra["by_passes"] <= WANTED_EXTRA_FORWARDS and extra["by_seconds"] <= WANTED_EXTRA_FORWARDS
        )
        met[f"{name}: long jobs at most {WANTED_LATER:.0%} later"] = (
            later["by_passes"]["median"] <= WANTED_LATER and later["by_seconds"]["median"] <= WANTED_LATER
        )
        said.append(
            f"{name}: p95 +{extra['by_passes']} passes (+{extra['by_seconds']} by the clock), long ones "
            f"{later['by_passes']['median']:.0%} later ({later['by_seconds']['median']:.0%});"
        )
    report(
        "fairness",
        line=" ".join(said),
        met=met,
        precision_in_openvino=ours.runs_in,
        long_steps=wanted.long_steps,
        long_jobs=wanted.long_jobs,
        short_steps=wanted.short_steps,
        load_of_short_jobs=wanted.load,
        rounds=wanted.rounds,
        schedules=wanted.schedules,
        companies=companies,
    )


if __name__ == "__main__":
    main()
