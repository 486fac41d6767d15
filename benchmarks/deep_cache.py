"""DeepCache: how much faster a picture is made, and how far it is from the one without.

python -m benchmarks.deep_cache [--rounds 3]
"""

import statistics
from dataclasses import replace

import numpy as np

from benchmarks.sides import (
    Asked,
    Ours,
    engine_options_of,
    in_turns,
    options_of,
    photo,
    ratio,
    report,
    spread,
)
from underpaint.engine.messages import DeepCache, Picture

CHOICES = {
    "low": DeepCache(interval=2, branch=0),
    "medium": DeepCache(interval=3, branch=0),
    "high": DeepCache(interval=5, branch=0),
    "interval 3, branch 1": DeepCache(interval=3, branch=1),
    "interval 3, branch 3": DeepCache(interval=3, branch=3),
}
"""Presets of `acceleration`, and options."""
PLAIN = "none"


def main() -> None:
    """Measure and report."""
    options = options_of(__doc__, rounds=3)
    options.add_argument("--size", type=int, default=256, help="width and height in pixels")
    options.add_argument("--strength", type=float, default=0.8)
    options.add_argument("--limit", type=float, default=240.0, help="seconds after which no round begins")
    wanted = options.parse_args()

    ours = Ours(wanted.model, **engine_options_of(wanted))
    asked = Asked(size_px=wanted.size, strength=wanted.strength, picture=photo(wanted.size))
    painted: dict[str, list[Picture]] = {name: [] for name in (PLAIN, *CHOICES)}

    def paint(name: str, number: int) -> None:
        [finished] = ours.paint(replace(asked.varied(number), deep_cache=CHOICES.get(name)))
        painted[name].append(finished.picture)

    for name in painted:
        paint(name, 0)
        painted[name].clear()
    taken = in_turns(
        {name: lambda number, name=name: paint(name, number + 1) for name in painted},  # type: ignore[misc]
        rounds=wanted.rounds,
        limit_s=wanted.limit,
    )
    distances = {
        name: [
            float(np.abs(one.astype(float) - plain).mean())
            for one, plain in zip(painted[name], painted[PLAIN], strict=True)
        ]
        for name in CHOICES
    }
    faster = {name: ratio(taken[PLAIN], taken[name]) for name in CHOICES}
    report(
        "deep_cache",
        line=", ".join(
            f"{name}: {faster[name]['median']:.2f} times as fast, {statistics.mean(distances[name]):.2f}/255 away"
            for name in CHOICES
        ),
        met={},
        rounds=len(taken[PLAIN]),
        seconds={name: spread(times) for name, times in taken.items()},
        times_as_fast=faster,
        mean_difference_of_255={name: spread(each, 3) for name, each in distances.items()},
    )


if __name__ == "__main__":
    main()
