"""How far the picture moves from the photo as strength grows, for three photos.

python -m benchmarks.strength [--steps 20] [--seeds 4] [--step 0.05]

The distance is the mean difference a channel, in steps of 1/255, averaged over the seeds. It must never fall below the
greatest so far by more than noise, and noise is what another seed does: the standard deviation of the distance over the
seeds, averaged over the strengths of the photo. At strength 0 the photo comes back to the byte.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.sides import EMBEDDED_MODEL, Asked, Ours, engine_options_of, options_of, report
from underpaint.engine.messages import Picture
from underpaint.images import fit_image

REPOSITORY = Path(__file__).parent.parent
PHOTOS: Mapping[str, Path] = {
    "tower": REPOSITORY / "examples/photo.jpg",
    "cat": REPOSITORY / "tests/photos/cat.jpg",
    "coffee": REPOSITORY / "tests/photos/coffee.jpg",
}
PROMPT = "oil painting, thick brush strokes"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What came of one photo."""

    distances: Mapping[float, Sequence[float]]
    """By strength, in rising order: one for each seed."""

    @property
    def means(self) -> list[float]:
        """Distance by strength, over the seeds."""
        return [statistics.fmean(of_seeds) for of_seeds in self.distances.values()]

    @property
    def noise(self) -> float:
        """How far another seed moves the distance, at strengths above 0."""
        return statistics.fmean(
            statistics.stdev(of_seeds) for strength, of_seeds in self.distances.items() if strength
        )

    @property
    def worst_fall(self) -> float:
        """The furthest that the distance comes to lie below the greatest one before it; at least 0."""
        highest = accumulate(self.means, max)
        return max(before - mean for before, mean in zip(highest, self.means, strict=True))


def load_photo(name: str, size_px: int) -> Picture:
    """One of `PHOTOS`, cut to a square."""
    with Image.open(PHOTOS[name]) as opened:
        fitted = fit_image(opened.convert("RGB"), width_px=size_px, height_px=size_px, mode="cover")
    return np.asarray(fitted)


def sweep(ours: Ours, asked: Asked, *, strengths: Sequence[float], seeds: int) -> Sweep:
    """The picture of a request at every strength, with as many seeds from its own on.

    Args:
        ours: the engine.
        asked: everything but strength and seed.
        strengths: rising, from 0 to 1.
        seeds: at least 2.
    """
    distances = {}
    for strength in strengths:
        finished = ours.paint(
            *(
                Asked(**{**vars(asked), "strength": strength, "seed": asked.seed + number})
                for number in range(seeds)
            )
        )
        distances[strength] = [
            float(np.abs(one.picture.astype(float) - asked.picture.astype(float)).mean()) for one in finished
        ]
    return Sweep(distances=distances)


def measure(wanted: argparse.Namespace) -> None:
    """Run the sweeps and report."""
    ours = Ours(wanted.model, **engine_options_of(wanted))
    count = round(1.0 / wanted.step)
    strengths = [number / count for number in range(count + 1)]
    sweeps = {}
    for name in PHOTOS:
        asked = Asked(
            prompt=PROMPT,
            negative_prompt="",
            size_px=wanted.size,
            steps=wanted.steps,
            scheduler=wanted.scheduler,
            picture=load_photo(name, wanted.size),
        )
        sweeps[name] = sweep(ours, asked, strengths=strengths, seeds=wanted.seeds)
        sys.stderr.write(f"{name}: " + " ".join(f"{mean:.1f}" for mean in sweeps[name].means) + "\n")
    report(
        "strength",
        line="; ".join(
            f"{name}: {found.means[1]:.1f} to {found.means[-1]:.1f} of 255, falls by {found.worst_fall:.2f} at most, "
            f"noise {found.noise:.2f}"
            for name, found in sweeps.items()
        )
        + ".",
        met={
            "strength 0 gives the photo": all(not any(found.distances[0.0]) for found in sweeps.values()),
            "the distance never falls by more than noise": all(
                found.worst_fall <= found.noise for found in sweeps.values()
            ),
        },
        model="embedded" if wanted.model == EMBEDDED_MODEL else wanted.model.name,
        scheduler=wanted.scheduler,
        steps=wanted.steps,
        size_px=wanted.size,
        seeds=wanted.seeds,
        photos={
            name: {
                "distances": {
                    strength: round(mean, 2)
                    for strength, mean in zip(found.distances, found.means, strict=True)
                },
                "noise": round(found.noise, 3),
                "worst_fall": round(found.worst_fall, 3),
            }
            for name, found in sweeps.items()
        },
    )


def main() -> None:
    """Measure and report."""
    options = options_of(__doc__)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--step", type=float, default=0.05, help="from one strength to the next")
    options.add_argument("--seeds", type=int, default=4)
    options.add_argument("--size", type=int, default=256, help="in pixels")
    options.add_argument("--scheduler", default="Default")
    measure(options.parse_args())


if __name__ == "__main__":
    main()
