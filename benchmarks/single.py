"""One image-to-image request, warm: the engine beside diffusers' pipeline with the same weights.

python -m benchmarks.single [--rounds 15]
"""

import argparse
import statistics

import numpy as np

from benchmarks.sides import (
    Asked,
    Ours,
    Theirs,
    engine_options_of,
    in_turns,
    options_of,
    photo,
    ratio,
    report,
    spread,
)
from underpaint.engine.messages import Finished, Picture

WANTED_RATIO = 1.6
WANTED_DIFFERENCE = 2.0
"""Of 255, the mean over pixels and channels."""


def main() -> None:
    """Measure and report."""
    options = options_of(__doc__, rounds=15)
    options.add_argument("--size", type=int, default=256, help="width and height in pixels")
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--strength", type=float, default=0.8)
    options.add_argument("--guidance", type=float, default=7.0)
    options.add_argument("--scheduler", default="Default", help="a name of the API; else the model's own")
    options.add_argument("--limit", type=float, default=120.0, help="seconds after which no round begins")
    wanted = options.parse_args()

    measure(wanted, Ours(wanted.model, **engine_options_of(wanted)))


def measure(wanted: argparse.Namespace, ours: Ours) -> None:
    """Take turns and report."""
    asked = Asked(
        size_px=wanted.size,
        steps=wanted.steps,
        strength=wanted.strength,
        guidance_scale=wanted.guidance,
        scheduler=wanted.scheduler,
        picture=photo(wanted.size),
    )
    theirs = Theirs(wanted.model, ours.engine.device)
    ours.paint(asked)
    theirs.paint(asked)

    painted: dict[int, Finished] = {}
    reference: dict[int, Picture] = {}
    requests = [asked.varied(number + 1) for number in range(wanted.rounds)]

    def paint_ours(number: int) -> None:
        painted[number] = ours.paint(requests[number])[0]

    def paint_theirs(number: int) -> None:
        reference[number] = theirs.paint(requests[number])

    taken = in_turns(
        {"diffusers": paint_theirs, "underpaint": paint_ours}, rounds=wanted.rounds, limit_s=wanted.limit
    )
    differences = [
        float(np.abs(painted[number].picture.astype(float) - reference[number]).mean()) for number in painted
    ]
    faster = ratio(taken["diffusers"], taken["underpaint"])
    difference = statistics.median(differences)
    report(
        "single",
        line=f"{faster['median']:.2f} times as fast as diffusers, "
        f"pictures differ by {difference:.3f}/255 in the mean.",
        met={
            f"at least {WANTED_RATIO} times as fast": faster["median"] >= WANTED_RATIO,
            f"pictures within {WANTED_DIFFERENCE:g}/255": max(differences) <= WANTED_DIFFERENCE,
        },
        precision_in_openvino=ours.runs_in,
        request={
            "size_px": asked.size_px,
            "steps": asked.steps,
            "steps_run": asked.steps_to_run,
            "guidance_scale": asked.guidance_scale,
            "scheduler": asked.scheduler,
        },
        rounds=len(painted),
        seconds={side: spread(times) for side, times in taken.items()},
        times_as_fast=faster,
        mean_difference_of_255=spread(differences),
    )


if __name__ == "__main__":
    main()
