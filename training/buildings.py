"""Procedural houses and towers; each builder paints one and says its name."""

import numpy as np

from training.brush import Brush, choose, shaded


def house(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A house with a lit front, a darker gable side, windows, a door and a chimney."""
    walls = {
        "red": (176, 62, 48),
        "white": (232, 228, 218),
        "yellow": (224, 190, 110),
        "blue": (120, 150, 184),
        "brown": (150, 110, 76),
        "stone": (160, 154, 144),
    }
    name = str(rng.choice(list(walls)))
    wall, roof = walls[name], choose(rng, (140, 66, 48), (88, 84, 88), (110, 76, 56))
    wide, high = tall * rng.uniform(0.9, 1.5), tall * 0.55
    left, right, eaves = x - wide / 2, x + wide / 2, ground - high
    side = wide * 0.3
    brush.box(left, eaves, right, ground, wall)
    brush.polygon(
        [
            (right, eaves),
            (right + side, eaves - high * 0.05),
            (right + side, ground - high * 0.08),
            (right, ground),
        ],
        shaded(wall, 0.7),
    )
    brush.polygon(
        [(right, eaves), (right + side / 2, ground - tall), (right + side, eaves - high * 0.05)],
        shaded(wall, 0.68),
    )
    brush.box(left + wide * 0.15, ground - tall * 1.02, left + wide * 0.25, eaves, shaded(roof, 0.7))
    brush.polygon(
        [
            (left - wide * 0.05, eaves),
            (left + side / 2, ground - tall),
            (right + side / 2, ground - tall),
            (right + wide * 0.02, eaves),
        ],
        roof,
        0.1,
    )
    night = float(brush.light.mean()) < 0.5
    for k in range(int(rng.integers(2, 5))):
        cx = left + wide * (0.18 + 0.22 * k)
        if cx > right - wide * 0.1:
            break
        brush.box(
            cx - wide * 0.06, eaves + high * 0.22, cx + wide * 0.06, eaves + high * 0.55, (236, 232, 222)
        )
        brush.box(
            cx - wide * 0.045,
            eaves + high * 0.26,
            cx + wide * 0.045,
            eaves + high * 0.51,
            (900, 700, 260) if night else (64, 78, 96),
        )
    door = left + wide * rng.uniform(0.3, 0.7)
    brush.box(
        door - wide * 0.05,
        ground - high * 0.42,
        door + wide * 0.05,
        ground,
        choose(rng, (84, 56, 38), (60, 84, 60), (120, 40, 36)),
    )
    return "a stone house" if name == "stone" else f"a {name} house"


def tower(rng: np.random.Generator, brush: Brush, x: float, ground: float, tall: float) -> str:
    """A lighthouse, a church, a castle or a windmill."""
    kind = str(rng.choice(["a lighthouse", "a church", "a castle", "a windmill"]))
    stone = choose(rng, (188, 178, 160), (160, 150, 138), (222, 216, 204))
    half = tall * 0.1
    if kind == "a lighthouse":
        stone = (236, 232, 226)
        for k in range(5):
            a, b = half * (1 - 0.08 * k), half * (1 - 0.08 * (k + 1))
            y0, y1 = ground - tall * 0.16 * k, ground - tall * 0.16 * (k + 1)
            brush.polygon(
                [(x - a, y0), (x - b, y1), (x + b, y1), (x + a, y0)], (196, 48, 42) if k % 2 else stone
            )
        brush.box(
            x - half * 0.45, ground - tall * 0.92, x + half * 0.45, ground - tall * 0.8, (250, 236, 160)
        )
        brush.polygon(
            [
                (x - half * 0.6, ground - tall * 0.92),
                (x, ground - tall),
                (x + half * 0.6, ground - tall * 0.92),
            ],
            (120, 40, 36),
        )
    elif kind == "a church":
        roof = choose(rng, (98, 86, 84), (140, 70, 52), (74, 98, 92))
        brush.box(x, ground - tall * 0.35, x + tall * 0.5, ground, stone)
        brush.polygon(
            [
                (x, ground - tall * 0.35),
                (x + tall * 0.08, ground - tall * 0.55),
                (x + tall * 0.42, ground - tall * 0.55),
                (x + tall * 0.52, ground - tall * 0.35),
            ],
            roof,
        )
        for k in range(3):
            brush.box(
                x + tall * (0.14 + 0.12 * k),
                ground - tall * 0.27,
                x + tall * (0.18 + 0.12 * k),
                ground - tall * 0.1,
                (60, 66, 84),
            )
        brush.box(x - half, ground - tall * 0.62, x + half, ground, shaded(stone, 1.05))
        brush.polygon(
            [
                (x - half * 1.2, ground - tall * 0.62),
                (x, ground - tall),
                (x + half * 1.2, ground - tall * 0.62),
            ],
            roof,
        )
        brush.box(x - half * 0.3, ground - tall * 0.55, x + half * 0.3, ground - tall * 0.44, (60, 60, 70))
    elif kind == "a castle":
        for dx, share in ((-0.35, 0.7), (0.35, 0.8), (0.05, 1.0)):
            cx, top = x + dx * tall, ground - tall * share * 0.8
            brush.box(cx - half, top, cx + half, ground, shaded(stone, float(rng.uniform(0.85, 1.05))), 0.1)
            brush.polygon(
                [(cx - half * 1.25, top), (cx, top - tall * 0.2), (cx + half * 1.25, top)],
                choose(rng, (90, 84, 110), (150, 70, 56)),
            )
            brush.box(cx - half * 0.2, top + tall * 0.1, cx + half * 0.2, top + tall * 0.18, (40, 40, 48))
        brush.box(x - tall * 0.38, ground - tall * 0.4, x + tall * 0.38, ground, stone, 0.1)
        for k in range(9):
            cx = x - tall * 0.38 + tall * 0.09 * k
            brush.box(cx, ground - tall * 0.45, cx + tall * 0.05, ground - tall * 0.4, stone, 0.1)
        brush.ellipse(x, ground - tall * 0.1, tall * 0.06, tall * 0.1, (50, 40, 34))
    else:
        brush.polygon(
            [
                (x - half * 1.4, ground),
                (x - half * 0.8, ground - tall * 0.6),
                (x + half * 0.8, ground - tall * 0.6),
                (x + half * 1.4, ground),
            ],
            stone,
        )
        brush.ellipse(x, ground - tall * 0.6, half * 0.85, half * 0.7, (100, 70, 52))
        turn = rng.uniform(0, np.pi / 2)
        for k in range(4):
            angle = turn + k * np.pi / 2
            dx, dy = np.cos(angle) * tall * 0.42, np.sin(angle) * tall * 0.42
            nx, ny = -np.sin(angle) * tall * 0.035, np.cos(angle) * tall * 0.035
            y = ground - tall * 0.6
            brush.polygon(
                [
                    (x + dx * 0.15, y + dy * 0.15),
                    (x + dx, y + dy),
                    (x + dx + nx * 2, y + dy + ny * 2),
                    (x + dx * 0.15 + nx * 2, y + dy * 0.15 + ny * 2),
                ],
                (216, 206, 186),
            )
            brush.line([(x, y), (x + dx, y + dy)], (84, 62, 46), tall * 0.02)
    return kind
