"""Creative upscaling from 512 to 2048 pixels in tiles: memory, seams, and what becomes of the composition.

python -m benchmarks.upscaling [--strength 0.3] [--steps 10] [--out FOLDER]

Seams are measured as in `benchmarks.seams`: steps that hold along a line where one tile ends, beside those along lines
half a tile away.
"""

import argparse
import itertools
import resource
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.drift import PHOTO, colour_difference
from benchmarks.sides import report
from underpaint.diffusion.latent_tiles import starts
from underpaint.engine.messages import Picture
from underpaint.engine.tiles import TILE_OVERLAP
from underpaint.library.painter import Painter

STRETCH_PX = 16
WANTED_SEAM = 1.1
"""Steps along the edges of tiles, to those along other lines."""
WANTED_CORRELATION = 0.95
"""Of the brightness of both pictures, each shrunk to 64 x 64 pixels."""


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--photo", type=Path, default=PHOTO)
    options.add_argument("--prompt", default="a photo, sharp and detailed")
    options.add_argument("--strength", type=float, default=0.3)
    options.add_argument("--steps", type=int, default=10)
    options.add_argument("--side", type=int, default=2048)
    options.add_argument("--out", type=Path, help="a folder for the pictures")
    wanted = options.parse_args()

    common = {"prompt": wanted.prompt, "steps": wanted.steps, "seed": 1, "fit": "cover"}
    with Painter() as painter:
        [[small]] = painter.transform_many(
            [{"photo": wanted.photo, "strength": 0, "width": 512, "height": 512, **common}]
        )
        painter.transform_many([{"photo": small.image, "strength": 0.3, **common}])
        before = peak_bytes()
        size = {"width": wanted.side, "height": wanted.side}
        [[large]] = painter.transform_many(
            [{"photo": small.image, "strength": wanted.strength, **size, **common}]
        )
        # Before anything is measured, which takes memory too.
        peak = peak_bytes()
    if wanted.out is not None:
        wanted.out.mkdir(parents=True, exist_ok=True)
        small.image.save(wanted.out / "small.png")
        large.image.save(wanted.out / "large.png")
    plain = small.image.resize(large.image.size, Image.Resampling.LANCZOS)
    edges, others = lines(np.asarray(large.image))
    seam = edges / others
    kept = correlation(large.image, plain)
    report(
        "upscaling",
        line=f"512 to {wanted.side}: seams {seam:.2f}, composition {kept:.3f}, "
        f"{(peak - before) / 2**20:.0f} MiB more than a picture of 512 takes",
        met={
            f"steps along edges of tiles at most {WANTED_SEAM:g} times others": seam <= WANTED_SEAM,
            f"correlation with the small picture at least {WANTED_CORRELATION:g}": kept >= WANTED_CORRELATION,
        },
        seam=round(seam, 3),
        edges=round(edges, 2),
        others=round(others, 2),
        correlation=round(kept, 4),
        colour=round(colour_difference(large.image, plain), 2),
        peak_mib=round(peak / 2**20),
        peak_before_mib=round(before / 2**20),
    )


def peak_bytes() -> int:
    """Most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def lines(picture: Picture, tile_px: int = 512) -> tuple[float, float]:
    """Steps that hold along lines where tiles begin or end, and along lines half way between those."""
    length = picture.shape[0]
    begins = starts(length, tile_px, tile_px // TILE_OVERLAP)
    edges = sorted({edge for begin in begins for edge in (begin, begin + tile_px)} - {0, length})
    between = [(one + other) // 2 for one, other in itertools.pairwise(edges)]
    return step(picture, edges), step(picture, between)


def step(picture: Picture, positions: list[int]) -> float:
    """Of 255: see `benchmarks.seams`."""
    means = []
    for across in (picture.astype(float), picture.transpose(1, 0, 2).astype(float)):
        for position in positions:
            difference = across[:, position] - across[:, position - 1]
            whole = difference[: len(difference) // STRETCH_PX * STRETCH_PX]
            means.append(whole.reshape(-1, STRETCH_PX, 3).mean(axis=1))
    return float(np.sqrt(np.mean(np.square(np.concatenate(means)))))


def correlation(one: Image.Image, other: Image.Image) -> float:
    """Of the brightness of two pictures, shrunk to 64 x 64 pixels."""
    shrunk = [
        np.asarray(picture.convert("L").resize((64, 64), Image.Resampling.BOX), float).ravel()
        for picture in (one, other)
    ]
    return float(np.corrcoef(np.stack(shrunk))[0, 1])


if __name__ == "__main__":
    main()
