"""How far colours wander in ten passes of little strength: as one request, without its `colorFix`, and as ten by UUID.

python -m benchmarks.drift [--passes 10] [--strength 0.1]
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.sides import report
from underpaint.engine.messages import Picture
from underpaint.library.painter import Painter

WANTED = 1.0
"""CIEDE2000, the mean over all pixels."""
LOW_PASS_PX = 16
"""Standard deviation of the blur before colours are compared: what is left is colour and light, no detail."""

PHOTO = Path(__file__).parent.parent / "examples" / "photo.jpg"
Lab = NDArray[np.float64]


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--photo", type=Path, default=PHOTO)
    options.add_argument("--prompt", default="", help="by default none: what wanders, wanders by itself")
    options.add_argument("--passes", type=int, default=10)
    options.add_argument("--strength", type=float, default=0.1)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--guidance", type=float, default=1.0)
    options.add_argument("--model", help="its AIR identifier; by default the embedded one")
    options.add_argument("--out", type=Path, help="a folder for the pictures")
    wanted = options.parse_args()

    with Painter() as painter:
        found = measure(painter, wanted)
    once, unfixed, by_uuid = (
        found[name]["difference"] for name in ("one request", "one request, not fixed", "by UUIDs")
    )
    report(
        "drift",
        line=f"CIEDE2000 to the photo {once:.2f} in one request, {unfixed:.2f} with colorFix false, {by_uuid:.2f} by "
        "UUIDs",
        met={f"under {WANTED:g} in one request": once < WANTED},
        found=found,
    )


def measure(painter: Painter, wanted: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run both ways from one photo. By UUID, every pass has a seed of its own, as a client's would."""
    common = {
        "prompt": wanted.prompt,
        "steps": wanted.steps,
        "guidance_scale": wanted.guidance,
        "model": wanted.model,
        "width": 384,
        "height": 256,
    }
    [[seed]] = painter.transform_many([{"photo": wanted.photo, "strength": 0, **common}])
    passes = [{"strength": wanted.strength}] * wanted.passes
    several = {"photo": wanted.photo, "passes": passes, "seed": 1, **common}
    [[once]] = painter.transform_many([several])
    [[unfixed]] = painter.transform_many([{**several, "color_fix": False}])
    [[single]] = painter.transform_many(
        [{"photo": wanted.photo, "strength": wanted.strength, "seed": 1, **common}]
    )
    image = seed.image
    for number in range(wanted.passes):
        [[made]] = painter.transform_many(
            [{"photo": image, "strength": wanted.strength, "seed": number + 1, **common}]
        )
        image = made.image
    found = {
        "a single pass": single.image,
        "one request": once.image,
        "one request, not fixed": unfixed.image,
        "by UUIDs": image,
    }
    if wanted.out is not None:
        wanted.out.mkdir(parents=True, exist_ok=True)
        for name, picture in {"seed": seed.image, **found}.items():
            picture.save(wanted.out / f"{name.replace(',', '').replace(' ', '-')}.png")
    return {
        name: {
            "difference": round(colour_difference(seed.image, picture), 3),
            "of 255": round(mean_difference(np.asarray(seed.image), np.asarray(picture)), 2),
        }
        for name, picture in found.items()
    }


def colour_difference(one: Image.Image, other: Image.Image) -> float:
    """Mean CIEDE2000 of two pictures of one size, both low-passed."""
    low = [picture.filter(ImageFilter.GaussianBlur(LOW_PASS_PX)) for picture in (one, other)]
    return float(ciede2000(*(lab(np.asarray(picture)) for picture in low)).mean())


def mean_difference(one: Picture, other: Picture) -> float:
    """Of 255, the mean over pixels and channels."""
    return float(np.abs(one.astype(int) - other).mean())


def lab(picture: Picture) -> Lab:
    """CIELAB of sRGB pixels (..., 3), under D65: IEC 61966-2-1 and CIE 15."""
    encoded = picture.astype(np.float64) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    relative = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    curve = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(curve, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(one: Lab, other: Lab) -> NDArray[np.float64]:
    """Colour difference of CIELAB values (..., 3): Sharma, Wu and Dalal, Color Res. Appl. 30 (2005), Eqs. 2 to 22."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    c1, c2 = np.hypot(a1 * (1 + g), b1), np.hypot(a2 * (1 + g), b2)
    h1 = np.degrees(np.arctan2(b1, a1 * (1 + g))) % 360
    h2 = np.degrees(np.arctan2(b2, a2 * (1 + g))) % 360
    colored = c1 * c2 > 0
    turn = np.where(colored, (h2 - h1 + 180) % 360 - 180, 0.0)
    # Exactly opposite hues differ by +180 or -180 degrees, as their order has it.
    turn = np.where(colored & (h2 - h1 == 180), 180.0, turn)
    delta_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    apart = np.abs(h1 - h2) > 180
    mean_h = np.where(
        ~colored, h1 + h2, np.where(apart, (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2, (h1 + h2) / 2)
    )
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    rotation = -np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    rotation *= 2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    in_l, in_c, in_h = (l2 - l1) / s_l, (c2 - c1) / s_c, delta_h / s_h
    difference: NDArray[np.float64] = np.sqrt(in_l**2 + in_c**2 + in_h**2 + rotation * in_c * in_h)
    return difference


if __name__ == "__main__":
    main()
