"""Things that stand in a landscape: trees, boats, cars, lamps, people, buildings; each builder says its
name.
"""

from collections.abc import Callable

import numpy as np

from training.brush import Brush, Color3, choose, shaded
from training.buildings import house, tower
from training.fields import Float

LEAVES: dict[str, tuple[Color3, ...]] = {
    "a green tree": ((70, 108, 40), (88, 126, 50), (56, 92, 46)),
    "an autumn tree": ((206, 110, 30), (190, 70, 32), (222, 166, 46)),
    "a blossoming tree": ((236, 176, 196), (244, 214, 222)),
}


def tree(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A broad-leaved tree: trunk, and a crown of many leaf clusters, lit from above."""
    name = str(rng.choice(list(LEAVES), p=[0.68, 0.22, 0.1]))
    base = choose(rng, *LEAVES[name])
    trunk = tall * 0.045
    brush.polygon(
        [
            (x - trunk * 1.4, ground),
            (x - trunk * 0.6, ground - tall * 0.6),
            (x + trunk * 0.6, ground - tall * 0.6),
            (x + trunk * 1.4, ground),
        ],
        (78, 58, 42),
        0.12,
    )
    clusters = sorted(((rng.normal(0, 0.17), rng.normal(0, 0.15)) for _ in range(26)), key=lambda c: -c[1])
    mask_size = tall * 0.12
    for dx, dy in clusters:
        light = 0.72 - 0.9 * dy + rng.normal(0, 0.07)
        size = mask_size * rng.uniform(0.7, 1.2)
        brush.ellipse(
            x + dx * tall,
            ground - tall * 0.66 + dy * tall,
            size,
            size * 0.8,
            shaded(base, float(np.clip(light, 0.45, 1.35))),
            0.2,
        )
    return name


def fir(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A fir in tiers."""
    base = choose(rng, (36, 66, 42), (48, 80, 44), (40, 70, 60))
    brush.box(x - tall * 0.03, ground - tall * 0.2, x + tall * 0.03, ground, (70, 52, 38))
    for tier in range(6):
        bottom = ground - tall * (0.1 + 0.14 * tier)
        half = tall * (0.26 - 0.035 * tier)
        brush.polygon(
            [(x - half, bottom), (x, bottom - tall * 0.26), (x + half, bottom)],
            shaded(base, 0.8 + 0.08 * tier),
            0.2,
        )
    return "a fir tree"


def boat(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A sailing boat or a rowing boat with its reflection."""
    hulls = {"red": (190, 50, 44), "white": (236, 234, 228), "blue": (48, 84, 150), "brown": (120, 82, 54)}
    name = str(rng.choice(list(hulls)))
    hull = hulls[name]
    half = tall * 0.42
    brush.polygon(
        [
            (x - half * 0.9, ground + tall * 0.02),
            (x - half * 0.7, ground + tall * 0.16),
            (x + half * 0.7, ground + tall * 0.16),
            (x + half * 0.9, ground + tall * 0.02),
        ],
        shaded(hull, 0.45),
        0.2,
    )
    brush.polygon(
        [
            (x - half, ground - tall * 0.12),
            (x - half * 0.75, ground + tall * 0.03),
            (x + half * 0.75, ground + tall * 0.03),
            (x + half * 1.1, ground - tall * 0.14),
        ],
        hull,
    )
    brush.line(
        [(x - half, ground - tall * 0.12), (x + half * 1.1, ground - tall * 0.14)],
        shaded(hull, 1.25),
        tall * 0.02,
    )
    if rng.random() < 0.65:
        sail = choose(rng, (244, 242, 236), (250, 236, 206), (220, 90, 70))
        brush.line([(x, ground - tall * 0.1), (x, ground - tall)], (90, 66, 48), tall * 0.02)
        brush.polygon(
            [
                (x + tall * 0.02, ground - tall * 0.97),
                (x + tall * 0.02, ground - tall * 0.2),
                (x + half * 0.95, ground - tall * 0.2),
            ],
            sail,
        )
        brush.polygon(
            [
                (x - tall * 0.02, ground - tall * 0.85),
                (x - tall * 0.02, ground - tall * 0.2),
                (x - half * 0.75, ground - tall * 0.2),
            ],
            shaded(sail, 0.88),
        )
        return f"a {name} sailing boat"
    brush.box(x - half * 0.2, ground - tall * 0.3, x + half * 0.3, ground - tall * 0.11, (226, 222, 212))
    return f"a {name} boat"


def car(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A car from the side."""
    paints = {
        "red": (196, 36, 34),
        "blue": (36, 78, 160),
        "white": (232, 232, 230),
        "yellow": (236, 192, 40),
        "green": (46, 110, 66),
        "black": (36, 36, 40),
    }
    name = str(rng.choice(list(paints)))
    body = paints[name]
    long, high = tall * 1.1, tall * 0.36
    brush.ellipse(x, ground, long * 0.52, high * 0.16, (30, 30, 32))
    brush.polygon(
        [
            (x - long * 0.28, ground - high * 0.6),
            (x - long * 0.16, ground - high * 1.12),
            (x + long * 0.14, ground - high * 1.12),
            (x + long * 0.3, ground - high * 0.6),
        ],
        shaded(body, 0.9),
    )
    brush.polygon(
        [
            (x - long * 0.24, ground - high * 0.62),
            (x - long * 0.14, ground - high * 1.04),
            (x - long * 0.01, ground - high * 1.04),
            (x - long * 0.01, ground - high * 0.62),
        ],
        (120, 146, 166),
    )
    brush.polygon(
        [
            (x + long * 0.02, ground - high * 0.62),
            (x + long * 0.02, ground - high * 1.04),
            (x + long * 0.12, ground - high * 1.04),
            (x + long * 0.25, ground - high * 0.62),
        ],
        (104, 130, 150),
    )
    brush.polygon(
        [
            (x - long * 0.5, ground - high * 0.15),
            (x - long * 0.49, ground - high * 0.5),
            (x - long * 0.3, ground - high * 0.63),
            (x + long * 0.32, ground - high * 0.63),
            (x + long * 0.5, ground - high * 0.48),
            (x + long * 0.51, ground - high * 0.15),
        ],
        body,
        0.03,
    )
    brush.line(
        [(x - long * 0.48, ground - high * 0.48), (x + long * 0.49, ground - high * 0.46)],
        shaded(body, 1.3),
        high * 0.05,
    )
    for dx in (-0.3, 0.31):
        brush.ellipse(x + dx * long, ground - high * 0.16, high * 0.24, high * 0.24, (26, 26, 28))
        brush.ellipse(x + dx * long, ground - high * 0.16, high * 0.12, high * 0.12, (170, 170, 174))
    return f"a {name} car"


def lamp(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A street lamp, glowing where it is dark."""
    brush.line([(x, ground), (x, ground - tall * 0.85)], (52, 54, 58), tall * 0.03)
    brush.ellipse(x, ground - tall * 0.9, tall * 0.05, tall * 0.08, (250, 240, 200))
    if float(brush.light.mean()) < 0.75:
        brush.glow(x, ground - tall * 0.9, tall * 0.22, (230, 170, 80))
    return "a street lamp"


def person(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A standing person, seen whole."""
    skin = choose(rng, (232, 190, 160), (190, 140, 104), (120, 82, 60))
    coats = {
        "red": (190, 44, 44),
        "blue": (50, 84, 160),
        "yellow": (232, 190, 60),
        "green": (60, 110, 64),
        "black": (40, 40, 46),
        "white": (232, 230, 226),
    }
    name = str(rng.choice(list(coats)))
    unit = tall * 0.5
    y = ground - unit
    brush.polygon(
        [
            (x - unit * 0.11, y + unit * 0.5),
            (x - unit * 0.12, ground),
            (x - unit * 0.02, ground),
            (x, y + unit * 0.55),
            (x + unit * 0.03, ground),
            (x + unit * 0.13, ground),
            (x + unit * 0.11, y + unit * 0.5),
        ],
        choose(rng, (50, 56, 84), (70, 60, 54), (90, 90, 96)),
    )
    brush.polygon(
        [
            (x - unit * 0.17, y + unit * 0.2),
            (x - unit * 0.13, y + unit * 0.58),
            (x + unit * 0.13, y + unit * 0.58),
            (x + unit * 0.17, y + unit * 0.2),
        ],
        coats[name],
    )
    for side in (-1, 1):
        brush.line(
            [(x + side * unit * 0.16, y + unit * 0.24), (x + side * unit * 0.22, y + unit * 0.5)],
            shaded(coats[name], 0.85),
            unit * 0.07,
        )
    brush.ellipse(x, y + unit * 0.08, unit * 0.085, unit * 0.11, skin)
    brush.ellipse(
        x, y + unit * 0.02, unit * 0.095, unit * 0.07, choose(rng, (60, 42, 30), (30, 26, 26), (190, 150, 90))
    )
    return f"a person in {name}"


Structure = Callable[[np.random.Generator, Brush, float, float, float], str]

ON_LAND: tuple[tuple[Structure, float, float], ...] = (
    (tree, 0.3, 0.36),
    (fir, 0.14, 0.3),
    (house, 0.2, 0.22),
    (tower, 0.14, 0.4),
    (car, 0.08, 0.18),
    (lamp, 0.06, 0.3),
    (person, 0.08, 0.26),
)
"""Builder, share, and usual height as a share of the picture."""


def add_structure(rng: np.random.Generator, values: Float, horizon: int, light: Float, floating: bool) -> str:
    """Add one thing to a float canvas in place and return its name."""
    height, width = values.shape[:2]
    brush = Brush(rng, values, light)
    x = float(rng.uniform(0.12, 0.88) * width)
    depth = float(rng.beta(1.3, 1.8))
    ground = horizon + (height - horizon) * (0.04 + 0.85 * depth)
    if floating:
        return boat(rng, brush, x, ground, height * (0.08 + 0.3 * depth) * float(rng.uniform(0.8, 1.3)))
    shares = np.array([share for _, share, _ in ON_LAND])
    builder, _, usual = ON_LAND[int(rng.choice(len(ON_LAND), p=shares / shares.sum()))]
    return builder(rng, brush, x, ground, height * usual * (0.4 + 1.5 * depth) * float(rng.uniform(0.8, 1.3)))
