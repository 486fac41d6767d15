"""Procedural views of cities: skylines and streets."""

import cv2
import numpy as np

from training.brush import Brush, Color3, choose, shaded
from training.fields import Float
from training.landscapes import water
from training.skies import paint_sky
from training.structures import car, lamp


def facade(
    brush: Brush, left: float, top: float, right: float, bottom: float, wall: Color3, dark: bool
) -> None:
    """A building's front with rows of windows, some lit at night."""
    rng = brush.rng
    brush.box(left, top, right, bottom, wall)
    across = max(2, int((right - left) / rng.uniform(9, 18)))
    down = max(2, int((bottom - top) / rng.uniform(10, 20)))
    wide, high = (right - left) / across, (bottom - top) / down
    glass = shaded(wall, 0.45) if not dark else (26, 30, 46)
    panes = np.zeros(brush.values.shape[:2], np.uint8)
    lit = np.zeros(brush.values.shape[:2], np.uint8)
    for i in range(across):
        for j in range(down):
            corner = (int(left + wide * (i + 0.22)), int(top + high * (j + 0.22)))
            other = (int(left + wide * (i + 0.78)), int(top + high * (j + 0.75)))
            target = lit if rng.random() < (0.45 if dark else 0.12) else panes
            cv2.rectangle(target, corner, other, 255, -1)
    brush.fill(panes, glass)
    brush.fill(lit, (640, 500, 250) if dark else shaded(wall, 1.35))


def city(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """A skyline, now and then behind water."""
    canvas = paint_sky(rng, size_px)
    dark = float(canvas.light.mean()) < 0.5
    brush = Brush(rng, canvas.values, canvas.light)
    base = canvas.horizon + size_px * 0.06
    for layer in range(3):
        x = -size_px * 0.05
        while x < size_px:
            wide = size_px * rng.uniform(0.06, 0.17)
            tall = size_px * rng.uniform(0.12, 0.5) * (1 - 0.22 * layer)
            wall = choose(
                rng, (150, 146, 142), (122, 130, 140), (176, 150, 126), (96, 104, 116), (190, 186, 178)
            )
            haze = 0.45 - 0.2 * layer
            mixed = np.asarray(wall) * (1 - haze) + canvas.haze / canvas.light.clip(0.3, 2) * haze
            facade(
                brush,
                x,
                base - tall,
                x + wide,
                base,
                (float(mixed[0]), float(mixed[1]), float(mixed[2])),
                dark,
            )
            x += wide * rng.uniform(0.8, 1.5)
    canvas.horizon = int(base)
    words = ["a city skyline at night" if dark else "a city skyline"]
    if rng.random() < 0.45:
        water(rng, canvas)
        words.append("water")
    else:
        brush.box(0, base - 1, size_px, size_px, (104, 104, 108), 0.08)
        if rng.random() < 0.6:
            words.append(
                car(
                    rng,
                    brush,
                    size_px * float(rng.uniform(0.25, 0.75)),
                    base + (size_px - base) * 0.6,
                    size_px * 0.25,
                )
            )
    return canvas.values, words + canvas.words


def street(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """A street of houses in one-point perspective."""
    canvas = paint_sky(rng, size_px)
    dark = float(canvas.light.mean()) < 0.5
    x0, y0 = size_px * rng.uniform(0.35, 0.65), float(size_px * rng.uniform(0.45, 0.6))
    brush = Brush(rng, canvas.values, canvas.light)
    brush.polygon([(0, size_px), (x0 - 3, y0), (x0 + 3, y0), (size_px, size_px)], (96, 96, 100), 0.07)
    for side in (-1, 1):
        edge = 0 if side < 0 else size_px
        brush.polygon(
            [(edge, size_px), (x0 + side * 3, y0), (edge, y0 + (size_px - y0) * 0.75), (edge, size_px)],
            (150, 144, 136),
            0.06,
        )
        depths = np.geomspace(0.06, 1.3, int(rng.integers(5, 9)))
        for near, far in zip(depths[1:][::-1].tolist()[::-1], depths[:-1].tolist(), strict=True):
            wall = choose(
                rng, (206, 178, 136), (188, 120, 96), (176, 176, 170), (214, 204, 186), (150, 164, 176)
            )
            tall = rng.uniform(0.7, 1.1)

            def corner(depth: float, height: float, side: int = side) -> tuple[float, float]:
                return x0 + side * depth * size_px * 0.52, y0 + depth * size_px * (0.3 - height)

            brush.polygon(
                [corner(far, 0), corner(near, 0), corner(near, tall), corner(far, tall)],
                shaded(wall, 0.75 if side < 0 else 0.95),
            )
            for i in range(2):
                for j in range(3):
                    a, b = far + (near - far) * (0.18 + 0.42 * i), far + (near - far) * (0.4 + 0.42 * i)
                    low, high = tall * (0.16 + 0.27 * j), tall * (0.3 + 0.27 * j)
                    glow: Color3 = (560, 440, 220) if dark and rng.random() < 0.6 else (70, 82, 98)
                    brush.polygon([corner(a, low), corner(b, low), corner(b, high), corner(a, high)], glow)
    words = ["a street with houses at night" if dark else "a street with houses"]
    if rng.random() < 0.5:
        words.append(lamp(rng, brush, x0 + size_px * 0.2, y0 + size_px * 0.28, size_px * 0.4))
    if rng.random() < 0.4:
        words.append(car(rng, brush, x0 - size_px * 0.05, y0 + size_px * 0.28, size_px * 0.22))
    return canvas.values, words + canvas.words
