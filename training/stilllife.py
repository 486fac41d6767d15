"""Procedural close views of things: fruit on a table, flowers, plain surfaces."""

import numpy as np

from training import fields as f
from training.brush import Brush, Color3, choose, shaded
from training.fields import Field, Float
from training.skies import rgb

DAYLIGHT = np.ones(3, np.float32)


def bokeh(rng: np.random.Generator, size_px: int, base: Float) -> Float:
    """An out-of-focus background: soft blobs of related colors, some of them discs of light."""
    values = base + f.cloud(rng, size_px, size_px, size_px / 3, 3)[..., None] * rng.uniform(8, 34, 3)
    if rng.random() < 0.5:
        rows, columns = f.grid(size_px, size_px)
        for _ in range(int(rng.integers(3, 12))):
            y, x, radius = rng.random() * size_px, rng.random() * size_px, size_px * rng.uniform(0.02, 0.07)
            disc = np.clip((radius - np.hypot(rows - y, columns - x)) / 3 + 0.5, 0, 1)[..., None]
            values = values + disc * rng.uniform(10, 60)
    return np.asarray(values, np.float32)


def lit_ball(size_px: int, x: float, y: float, radius: float) -> tuple[Field, Field, Field]:
    """Mask, diffuse light and highlight of a ball lit from the upper left."""
    rows, columns = f.grid(size_px, size_px)
    dx, dy = (columns - x) / radius, (rows - y) / radius
    inside = np.clip((1 - np.hypot(dx, dy)) * radius + 0.5, 0, 1)
    height = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
    light = np.clip(-0.5 * dx - 0.6 * dy + 0.62 * height, 0, 1)
    return inside.astype(np.float32), (0.28 + 0.85 * light).astype(np.float32), (light**28).astype(np.float32)


FRUITS: dict[str, tuple[Color3, float]] = {
    "a red apple": ((188, 32, 34), 0.09),
    "a green apple": ((140, 178, 54), 0.07),
    "an orange": ((236, 132, 30), 0.05),
    "a lemon": ((240, 208, 56), 0.05),
    "a tomato": ((206, 40, 28), 0.03),
    "a peach": ((240, 160, 110), 0.09),
    "a plum": ((92, 44, 96), 0.06),
    "a blue ball": ((40, 82, 180), 0.02),
    "a white egg": ((236, 226, 212), 0.02),
}


def still_life(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """Round things on a table."""
    table = choose(rng, (150, 104, 66), (196, 176, 150), (92, 70, 58), (210, 210, 206), (120, 130, 136))
    wall = rgb(*choose(rng, (200, 190, 172), (96, 104, 112), (60, 52, 50), (150, 170, 160)))
    edge = size_px * rng.uniform(0.42, 0.62)
    values = bokeh(rng, size_px, wall)
    rows, columns = f.grid(size_px, size_px)
    wood = f.resample(f.cloud(rng, size_px, size_px, size_px / 8, 4), rows, columns * 0.15)
    top = (
        np.asarray(table, np.float32)
        * (1 + 0.12 * wood[..., None])
        * (0.75 + 0.35 * (rows / size_px)[..., None])
    )
    share = np.clip((rows - edge) / 2 + 0.5, 0, 1)[..., None]
    values = values * (1 - share) + top * share
    words: list[str] = []
    count = int(rng.choice([1, 2, 3, 4]))
    for depth in sorted(rng.random(count)):
        name = str(rng.choice(list(FRUITS)))
        color, roughness = FRUITS[name]
        radius = size_px * (0.09 + 0.1 * depth + (0.12 if count == 1 else 0)) * rng.uniform(0.85, 1.15)
        x = rng.uniform(0.15, 0.85) * size_px
        y = edge + (size_px - edge) * (0.1 + 0.6 * depth) - radius * 0.5
        shadow = np.exp(
            -(((columns - x - radius * 0.5) / (radius * 1.2)) ** 2)
            - ((rows - y - radius * 0.9) / (radius * 0.35)) ** 2
        )
        values = values * (1 - 0.6 * shadow[..., None])
        inside, light, shine = lit_ball(size_px, x, y, radius)
        skin = 1 + f.cloud(rng, size_px, size_px, radius / 2, 3) * roughness
        ball = np.asarray(color, np.float32) * (light * skin)[..., None] + 190 * shine[..., None]
        values = values * (1 - inside[..., None]) + ball * inside[..., None]
        if "apple" in name or "peach" in name:
            Brush(rng, values, DAYLIGHT).line(
                [(x, y - radius * 0.85), (x + radius * 0.12, y - radius * 1.25)], (76, 54, 36), radius * 0.09
            )
        words.insert(0, name)
    return values, [*dict.fromkeys(words), "on a table"]


PETALS: dict[str, Color3] = {
    "red": (206, 30, 44),
    "yellow": (246, 204, 44),
    "white": (244, 242, 236),
    "purple": (136, 66, 176),
    "pink": (236, 130, 172),
    "orange": (240, 132, 36),
    "blue": (76, 104, 210),
}


def flower(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """One or a few large flowers before soft green."""
    values = bokeh(
        rng, size_px, rgb(*choose(rng, (66, 100, 48), (44, 66, 44), (110, 136, 84), (150, 178, 200)))
    )
    name = str(rng.choice(list(PETALS)))
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        brush = Brush(rng, values, DAYLIGHT)
        x, y = rng.uniform(0.25, 0.75, 2) * size_px
        radius = size_px * rng.uniform(0.12, 0.3)
        brush.line([(x, y), (x + rng.normal(0, radius * 0.3), size_px * 1.02)], (70, 118, 50), radius * 0.1)
        count, layers = int(rng.integers(5, 15)), int(rng.integers(1, 4))
        turn = rng.uniform(0, 6.28)
        for layer in range(layers):
            reach = radius * (1 - 0.25 * layer)
            for k in range(count):
                angle = turn + 2 * np.pi * (k + 0.5 * layer) / count
                wide = reach * min(0.5, 2.4 / count)
                along, across = (
                    np.array([np.cos(angle), np.sin(angle)]),
                    np.array([-np.sin(angle), np.cos(angle)]),
                )
                outline = [
                    (0.1, 0.25),
                    (0.55, 1.0),
                    (0.85, 0.8),
                    (1.0, 0.0),
                    (0.85, -0.8),
                    (0.55, -1.0),
                    (0.1, -0.25),
                ]
                points = [tuple(np.array([x, y]) + along * reach * u + across * wide * v) for u, v in outline]
                light = 0.82 + 0.25 * np.sin(angle + 2.4) + 0.1 * layer + rng.normal(0, 0.05)
                brush.polygon(
                    [(float(px), float(py)) for px, py in points], shaded(PETALS[name], float(light)), 0.07
                )
        heart = (232, 190, 50) if name != "yellow" else (110, 70, 36)
        brush.ellipse(x, y, radius * 0.2, radius * 0.2, heart, 0.25)
    return values, [f"a {name} flower" if name != "orange" else "an orange flower"]


def texture(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """A flat surface: bricks, boards, stone or cloth."""
    kind = str(rng.choice(["a brick wall", "wooden boards", "a stone surface", "woven cloth"]))
    rows, columns = f.grid(size_px, size_px)
    if kind == "a brick wall":
        high = size_px / rng.uniform(8, 18)
        course = np.floor(rows / high)
        across = columns / (high * 2.2) + 0.5 * (course % 2)
        tone = rng.uniform(0.75, 1.2, 4096)[((course * 61 + np.floor(across) * 17) % 4096).astype(int)]
        joint = (rows % high < high * 0.12) | ((across % 1) < 0.05)
        brick = np.asarray(choose(rng, (164, 84, 62), (190, 160, 130), (130, 110, 100)), np.float32)
        values = np.where(joint[..., None], 196.0, brick * tone[..., None])
    elif kind == "wooden boards":
        wide = size_px / rng.uniform(4, 9)
        board = np.floor(columns / wide)
        grain = f.resample(f.cloud(rng, size_px, size_px, 20, 4), rows * 0.08, columns * 1.2 + board * 31)
        tone = rng.uniform(0.8, 1.15, 64)[(board % 64).astype(int)] * (1 + grain * 0.16)
        tone = np.where(columns % wide < 1.5, 0.35, tone)
        values = (
            np.asarray(choose(rng, (156, 112, 72), (120, 90, 66), (190, 160, 120)), np.float32)
            * tone[..., None]
        )
    elif kind == "a stone surface":
        tone = 1 + f.cloud(rng, size_px, size_px, size_px / 4, 7) * 0.22
        values = (
            np.asarray(choose(rng, (150, 146, 140), (176, 160, 136), (110, 112, 116)), np.float32)
            * tone[..., None]
        )
    else:
        period = rng.uniform(4, 9)
        weave = np.sin(rows * 6.28 / period) * np.sign(np.sin(columns * 3.14 / period)) * 0.12
        folds = f.cloud(rng, size_px, size_px, size_px / 3, 2) * 0.2
        base = np.asarray(
            choose(rng, (170, 50, 54), (60, 84, 140), (210, 200, 180), (90, 120, 84)), np.float32
        )
        values = base * (1 + weave + folds)[..., None]
    light = 1 + f.cloud(rng, size_px, size_px, size_px, 2)[..., None] * 0.15
    return np.asarray(values * light + f.noise(rng, size_px, size_px, 1.5)[..., None] * 5, np.float32), [kind]
