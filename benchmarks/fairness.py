"""Short jobs that arrive while long ones run: how long they take, and how much later the long ones finish.

python -m benchmarks.fairness [--short-jobs 24]

Passes are counted as well as seconds: the count does not depend on what else the machine does, and by the clock a pass
that is shared takes longer than one alone, one that follows another of another size takes longer than one that follows
its like, and pictures are encoded and decoded between passes. A job arrives at any time, and waits for the end of what
the engine is at, as it would in a server. Extra seconds are told in forwards: passes of the long jobs alone, with all
of them in it, without encoding and decoding.

Short jobs take the engine's time, by which long ones must be later whatever the scheduler does. So they come as often
as asks for a stated share of it: what they take alone, by passes or by the clock, whichever is more, is `--load` of
what the long ones take alone. What long jobs lose beyond that is the scheduler's doing.

Runs of the long jobs alone and of the short one alone are between runs of all together: what else the machine does
weighs on all. By the clock the 95th percentile is told over the median alone; over the 95th percentile alone, which has
the machine's bad moments, too, it stands beside it. Every job brings a picture and a prompt of its own, which are
encoded in its time. Each counts as it came out: there is no median over tries.
"""

import argparse
import itertools
import math
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.sides import Asked, Ours, engine_options_of, options_of, photo, report, spread

WANTED_EXTRA_FORWARDS = 3.0
WANTED_LATER = 0.25
SIZE_PX = 256
OTHER_SIZE_PX = 128


@dataclass(frozen=True, kw_only=True)
class Taken:
    """From a job's arrival to its picture."""

    passes: float
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrival:
    """A job, and when it comes: so many seconds after the first."""

    asked: Asked
    owner: str
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of jobs that were run to their end."""

    taken: list[Taken]
    """In the order of the arrivals."""
    pass_s: float
    """Median of its passes, by the clock."""


def run(ours: Ours, arrivals: Sequence[Arrival]) -> Run:
    """Run jobs to their end. Between two passes those are taken in that came during the last one, as in a server."""
    engine = ours.engine
    waiting = sorted(enumerate(arrivals), key=lambda numbered: numbered[1].at_s)
    came: dict[str, tuple[int, float, float]] = {}
    taken: dict[int, Taken] = {}
    passes_s: list[float] = []
    began_s = tick_began_s = tick_ended_s = time.perf_counter()
    before = engine.passes
    while waiting or came:
        while waiting and (began_s + waiting[0][1].at_s <= tick_ended_s or not engine.busy):
            number, arrival = waiting.pop(0)
            [job_id] = ours.submit(arrival.asked, owner=arrival.owner)
            came_s = min(began_s + arrival.at_s, tick_ended_s)
            left = (tick_ended_s - came_s) / max(tick_ended_s - tick_began_s, 1e-9)
            came[job_id] = (number, engine.passes - left * (engine.passes - before), came_s)
        before = engine.passes
        tick_began_s = time.perf_counter()
        engine.tick()
        tick_ended_s = time.perf_counter()
        if engine.passes > before:
            passes_s.append(tick_ended_s - tick_began_s)
        for job_id in [job_id for job_id in came if job_id in ours.finished]:
            number, came_in_pass, came_s = came.pop(job_id)
            del ours.finished[job_id]
            taken[number] = Taken(passes=engine.passes - came_in_pass, seconds=tick_ended_s - came_s)
    return Run(taken=[taken[number] for number in range(len(arrivals))], pass_s=statistics.median(passes_s))


def company(ours: Ours, wanted: argparse.Namespace, *, short_px: int, one_owner: bool) -> dict[str, object]:
    """Short jobs among long ones, and the same jobs alone, in turns."""
    dice = random.Random(short_px + one_owner)
    visitor = "resident" if one_owner else "visitor"
    long_jobs, short_jobs = _unlike(wanted.size, wanted.long_steps), _unlike(short_px, wanted.short_steps)

    def residents() -> list[Arrival]:
        return [Arrival(asked=next(long_jobs), owner="resident") for _ in range(wanted.long_jobs)]

    def visit(at_s: float = 0.0) -> Arrival:
        return Arrival(asked=next(short_jobs), owner=visitor, at_s=at_s)

    def by_itself() -> Taken:
        return run(ours, [visit()]).taken[0]

    # Unmeasured: the engine's judgment of batch sizes is there afterwards.
    for _ in range(2):
        run(ours, [*residents(), visit(0.5), visit(1.0)])
    undisturbed = run(ours, residents()).taken
    long_s = max(taken.seconds for taken in undisturbed)
    long_passes = max(taken.passes for taken in undisturbed)
    own = [by_itself() for _ in range(5)]
    own_s = statistics.median(taken.seconds for taken in own)
    # What is small takes more passes than time, what is large more time than passes: the greater share is the load.
    every_s = max(own_s, own[0].passes / long_passes * long_s) / wanted.load
    schedules = 2 * math.ceil(wanted.short_jobs * every_s / long_s / 2)

    def schedule(number: int) -> list[Arrival]:
        """Arrivals at even distances, as far from the beginning as no other schedule's."""
        begin_s = every_s * (number + dice.random()) / schedules
        return [visit(at_s) for at_s in np.arange(begin_s, long_s, every_s)]

    alone: list[Taken] = []
    among: list[Taken] = []
    passes_s: list[float] = []
    later_passes: list[float] = []
    later_s: list[float] = []
    for number in range(0, schedules, 2):
        visits = schedule(number), schedule(number + 1)
        before = run(ours, [*residents(), *visits[0]])
        between = run(ours, residents())
        alone += [by_itself() for _ in range(1 + len(visits[0]))]
        after = run(ours, [*residents(), *visits[1]])
        passes_s.append(between.pass_s)
        for loaded in (before, after):
            among += loaded.taken[wanted.long_jobs :]
            pairs = list(zip(between.taken, loaded.taken, strict=False))
            later_passes.append(max(late.passes / early.passes for early, late in pairs) - 1)
            later_s.append(max(late.seconds / early.seconds for early, late in pairs) - 1)

    forward_s = statistics.median(passes_s)
    alone_passes = statistics.median(taken.passes for taken in alone)
    alone_s = [taken.seconds for taken in alone]
    among_s = [taken.seconds for taken in among]
    extra_passes = [taken.passes - alone_passes for taken in among]

    def forwards(seconds: float, own_seconds: float) -> float:
        return round((seconds - own_seconds) / forward_s, 2)

    return {
        "long_px": wanted.size,
        "short_px": short_px,
        "one_owner": one_owner,
        "short_jobs": len(among),
        "seconds_between_short_jobs": round(every_s, 2),
        "short_alone": {
            "passes": alone_passes,
            "seconds": round(statistics.median(alone_s), 4),
            "p95_seconds": round(p95(alone_s), 4),
        },
        "long_forward_seconds": round(forward_s, 4),
        "short_p95_extra_forwards": {
            "by_passes": round(p95(extra_passes), 2),
            "by_seconds": forwards(p95(among_s), statistics.median(alone_s)),
            "by_seconds_over_p95_alone": forwards(p95(among_s), p95(alone_s)),
        },
        "short_median_extra_forwards": {
            "by_passes": round(statistics.median(extra_passes), 2),
            "by_seconds": forwards(statistics.median(among_s), statistics.median(alone_s)),
        },
        "long_later": {
            "by_passes": round(statistics.mean(later_passes), 4),
            "by_seconds": round(statistics.mean(later_s), 4),
            "by_seconds_in_each_schedule": spread(later_s),
        },
    }


def _unlike(size_px: int, steps: int) -> Iterator[Asked]:
    """Jobs of one size and length, each with a picture and a prompt of its own."""
    first = Asked(size_px=size_px, steps=steps, strength=1.0, picture=photo(size_px))
    return (first.varied(number) for number in itertools.count(1))


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return float(np.percentile(values, 95))


def main() -> None:
    """Measure and report."""
    options = options_of(__doc__)
    options.add_argument(
        "--size", type=int, default=SIZE_PX, help="width and height of the long jobs, in pixels"
    )
    options.add_argument(
        "--other-size", type=int, default=OTHER_SIZE_PX, help="of short jobs that cannot share passes"
    )
    options.add_argument("--long-steps", type=int, default=50)
    options.add_argument("--long-jobs", type=int, default=2)
    options.add_argument("--short-steps", type=int, default=4)
    options.add_argument("--short-jobs", type=int, default=24, help="at least so many in each company")
    options.add_argument("--only", default="", help="companies whose name has this in it")
    options.add_argument(
        "--load",
        type=float,
        default=0.16,
        help="of the time of the long jobs alone, the share that short jobs take alone",
    )
    options.add_argument("--max-rows", type=int, default=8, help="most rows of a forward pass")
    wanted = options.parse_args()

    ours = Ours(wanted.model, **engine_options_of(wanted), max_rows=wanted.max_rows)
    companies = {
        f"{size}, {owners}": company(ours, wanted, short_px=short_px, one_owner=one_owner)
        for size, short_px in (("same size", wanted.size), ("another size", wanted.other_size))
        for owners, one_owner in (("two owners", False), ("one owner", True))
        if wanted.only in f"{size}, {owners}"
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
            later["by_passes"] <= WANTED_LATER and later["by_seconds"] <= WANTED_LATER
        )
        said.append(
            f"{name}: p95 +{extra['by_passes']} passes (+{extra['by_seconds']} by the clock), long ones "
            f"{later['by_passes']:.0%} later ({later['by_seconds']:.0%});"
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
        companies=companies,
    )


if __name__ == "__main__":
    main()
