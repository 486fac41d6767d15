"""Whether the edge of a mask can be seen: inpainting, and outpainting on each side and on all four; and 100 masks by
chance.

python -m benchmarks.seams [--random 100] [--out FOLDER]

The measure is a step that holds along the edge. Along each line parallel to an edge the differences of neighbouring
pixels across it are averaged over stretches of 16 pixels, which leaves what all of them have in common; of these means
the root mean square is taken. A seam has more of it than the lines inside of what was painted, 2 to 12 pixels
from the edge.

Masks by chance have curved edges, hard and soft; a soft one is where the mask paints half. There the lines follow the
edge at a distance, and the stretches are what of them lies in a square of 16 pixels. It is also looked whether any
pixel under black has changed. A mask of a single pixel has no stretch, and counts for the latter alone.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from benchmarks.drift import PHOTO
from benchmarks.masks import random_mask
from benchmarks.sides import report
from underpaint.engine.messages import Mask, Picture
from underpaint.images import Margins, margin_mask
from underpaint.library.painter import Painter

STRETCH_PX = 16
DEEP_PX = range(2, 13)
"""How far from the edge the lines lie that it is compared with."""
UNSEEN = 2.0
"""Of 255: a smaller step does not show, even in a clear sky."""
WIDTH_PX, HEIGHT_PX = 384, 256
PROMPT = "a photo of a temple by a lake"
RANDOM_SIDE_PX = 128
AT_ONCE = 20
"""Masks by chance that are worked on together."""
HALF = 128
"""A soft mask's edge is where it paints half."""
FEWEST_PAIRS = 8
"""Of neighbouring pixels, in the stretch of a curved line: half of a straight one's."""
KINDS = {0: "hard", 1: "soft", 2: "single pixel", 3: "at the border"}
"""Of masks by chance, by the rest of their number."""


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--photo", type=Path, default=PHOTO)
    options.add_argument("--strength", type=float, default=0.8)
    options.add_argument("--random", type=int, default=100, help="how many masks by chance")
    options.add_argument("--out", type=Path, help="a folder for the pictures")
    wanted = options.parse_args()

    found = {}
    with Painter() as painter:
        for name, (request, mask) in cases(wanted.photo, wanted.strength).items():
            [[made]] = painter.transform_many([request])
            picture = np.asarray(made.image)
            if wanted.out is not None:
                wanted.out.mkdir(parents=True, exist_ok=True)
                made.image.save(wanted.out / f"{name.replace(' ', '-')}.png")
            found[name] = {
                "edge": round(step(picture, mask, 0), 2),
                "new": round(float(np.mean([step(picture, mask, deep) for deep in DEEP_PX])), 2),
                "kept": round(float(np.mean([step(picture, mask, -deep) for deep in DEEP_PX])), 2),
            }
        by_chance = random_masks(painter, wanted)
    worst = max(found.values(), key=lambda one: one["edge"] / max(one["new"], UNSEEN))
    report(
        "seams",
        line=f"the worst edge has steps of {worst['edge']}; the new part beside it {worst['new']}, the kept one "
        f"{worst['kept']}",
        met={
            f"no edge steps more than the painted side, or {UNSEEN:g}": all(
                unseen(one) for one in found.values()
            ),
            "under masks by chance nothing black changes": by_chance["changed pixels"] == 0,
            "by chance likewise, or than the mean of both sides where they are soft": all(
                unseen(one, soft=kind == "soft") for kind, one in by_chance["steps"].items()
            ),
        },
        found=found,
        by_chance=by_chance,
    )


def unseen(steps: dict[str, float], *, soft: bool = False) -> bool:
    """Whether an edge does not show among what is painted beside it; a soft one is half painted and half kept."""
    beside = (steps["new"] + steps["kept"]) / 2 if soft else steps["new"]
    return steps["edge"] <= max(beside, UNSEEN)


def cases(photo: Path, strength: float) -> dict[str, tuple[dict[str, object], Mask]]:
    """Requests, each with the mask of what it paints, all hard-edged."""
    common = {"photo": photo, "prompt": PROMPT, "steps": 20, "seed": 7, "strength": strength}
    size = {"width": WIDTH_PX, "height": HEIGHT_PX}
    drawn = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    drawn[64:192, 120:280] = 255
    mask = Image.fromarray(drawn)
    made: dict[str, tuple[dict[str, object], Mask]] = {
        "inpainted": ({**common, **size, "mask": mask}, drawn),
        "with a margin": ({**common, **size, "mask": mask, "mask_margin": 32}, drawn),
    }
    for name, sides in {
        "top": ["top"],
        "right": ["right"],
        "bottom": ["bottom"],
        "left": ["left"],
        "all four": ["top", "right", "bottom", "left"],
    }.items():
        outpaint = dict.fromkeys(sides, 64)
        margins = Margins(**{f"{side}_px": pixels for side, pixels in outpaint.items()})
        edges = np.asarray(margin_mask(WIDTH_PX, HEIGHT_PX, margins))
        made[name] = ({**common, **size, "outpaint": outpaint}, edges)
    return made


def random_masks(painter: Painter, wanted: argparse.Namespace) -> dict[str, Any]:
    """What masks by chance leave: pixels changed under black; and steps of 255, by kind of mask."""
    common = {
        "photo": wanted.photo,
        "prompt": PROMPT,
        "steps": 10,
        "strength": wanted.strength,
        "width": RANDOM_SIDE_PX,
        "height": RANDOM_SIDE_PX,
        "fit": "cover",
    }
    [[plain]] = painter.transform_many([{**common, "strength": 0}])
    seed = np.asarray(plain.image)
    changed = 0
    steps: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS.values()}
    for first in range(0, wanted.random, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, wanted.random))
        masks = [random_mask(number, RANDOM_SIDE_PX) for number in numbers]
        requests = [
            {**common, "mask": Image.fromarray(mask), "seed": 1 + number}
            for number, mask in zip(numbers, masks, strict=True)
        ]
        for number, mask, [made] in zip(numbers, masks, painter.transform_many(requests), strict=True):
            picture = np.asarray(made.image)
            changed += int((picture != seed)[mask == 0].any(axis=-1).sum())
            of_kind = steps[KINDS[number % len(KINDS)]]
            for name, lines in {"edge": [0], "new": DEEP_PX, "kept": [-deep for deep in DEEP_PX]}.items():
                of_kind.setdefault(name, []).extend(curved_steps(picture, mask, lines))
    return {
        "masks": wanted.random,
        "changed pixels": changed,
        "steps": {
            kind: {name: round(float(np.sqrt(np.mean(squares))), 2) for name, squares in named.items()}
            for kind, named in steps.items()
            if named.get("edge")
        },
    }


def curved_steps(picture: Picture, mask: Mask, lines: Iterable[int]) -> list[float]:
    """Squares of the mean steps of stretches, across lines so deep in what a mask paints, or keeps if negative."""
    white = mask >= HALF
    depth: NDArray[np.float64] = distance_transform_edt(white) - distance_transform_edt(~white)
    squares: list[float] = []
    for line in lines:
        inside = depth > line
        steps: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
        for axis in (0, 1):
            difference = np.diff(picture.astype(float), axis=axis)
            entered = np.diff(inside.astype(int), axis=axis)
            for row, column in np.argwhere(entered != 0).tolist():
                square = (row // STRETCH_PX, column // STRETCH_PX)
                steps.setdefault(square, []).append(entered[row, column] * difference[row, column])
        means = [np.mean(pairs, axis=0) for pairs in steps.values() if len(pairs) >= FEWEST_PAIRS]
        squares.extend(float(np.square(mean).mean()) for mean in means)
    return squares


def step(picture: Picture, mask: Mask, deep_px: int) -> float:
    """Of 255: the measure on the edges of a hard mask; or on lines so deep in what it paints, or keeps if negative."""
    means = []
    for across, white in ((picture, mask), (picture.transpose(1, 0, 2), mask.T)):
        difference = np.diff(across.astype(float), axis=1)
        turn = np.diff(white.astype(int), axis=1)
        for sign in (1, -1):
            line = np.roll(turn == 255 * sign, deep_px * sign, axis=1)
            for column in np.flatnonzero(line.any(axis=0)):
                along = difference[line[:, column], column]
                for begin in range(0, len(along) - STRETCH_PX + 1, STRETCH_PX):
                    means.append(along[begin : begin + STRETCH_PX].mean(axis=0))
    return float(np.sqrt(np.mean(np.square(means))))


if __name__ == "__main__":
    main()
