"""Procedural portraits of people and faces of animals."""

import numpy as np

from training import fields as f
from training.brush import Brush, Color3, choose, shaded
from training.fields import Float
from training.skies import rgb
from training.stilllife import DAYLIGHT, bokeh


def portrait(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """Head and shoulders of a person, lit from one side."""
    s = size_px * rng.uniform(0.85, 1.25)
    x, y = size_px * rng.uniform(0.42, 0.58), size_px * rng.uniform(0.38, 0.48)
    values = bokeh(
        rng,
        size_px,
        rgb(*choose(rng, (120, 130, 140), (70, 76, 84), (190, 184, 176), (96, 120, 92), (150, 110, 90))),
    )
    brush = Brush(rng, values, DAYLIGHT)
    skin = choose(rng, (232, 188, 160), (214, 160, 126), (168, 116, 84), (112, 74, 54))
    hairs: dict[str, Color3] = {
        "brown": (84, 56, 38),
        "black": (34, 30, 30),
        "blond": (206, 170, 104),
        "red": (160, 74, 36),
        "gray": (160, 158, 156),
    }
    hair_name = str(rng.choice(list(hairs)))
    hair = hairs[hair_name]
    woman = rng.random() < 0.5
    coat = choose(
        rng, (170, 40, 44), (44, 70, 130), (60, 96, 66), (220, 216, 208), (40, 40, 46), (216, 170, 60)
    )
    if woman:
        brush.ellipse(x, y + s * 0.06, s * 0.205, s * 0.3, shaded(hair, 0.85), 0.14)
    brush.polygon(
        [
            (x - s * 0.4, size_px * 1.02),
            (x - s * 0.33, y + s * 0.36),
            (x - s * 0.1, y + s * 0.27),
            (x + s * 0.1, y + s * 0.27),
            (x + s * 0.33, y + s * 0.36),
            (x + s * 0.4, size_px * 1.02),
        ],
        coat,
        0.06,
    )
    brush.polygon(
        [
            (x - s * 0.075, y + s * 0.12),
            (x - s * 0.085, y + s * 0.29),
            (x, y + s * 0.34),
            (x + s * 0.085, y + s * 0.29),
            (x + s * 0.075, y + s * 0.12),
        ],
        shaded(skin, 0.78),
    )
    brush.ellipse(x, y - s * 0.03, s * 0.165, s * 0.215, hair, 0.14)
    brush.ellipse(x, y + s * 0.02, s * 0.135, s * 0.185, skin, 0.03)
    for side in (-1, 1):
        ex, ey = x + side * s * 0.055, y - s * 0.005
        brush.ellipse(x + side * s * 0.135, y + s * 0.03, s * 0.02, s * 0.04, shaded(skin, 0.85))
        brush.ellipse(ex, ey, s * 0.03, s * 0.015, (240, 238, 234))
        brush.ellipse(ex, ey, s * 0.013, s * 0.014, choose(rng, (84, 58, 40), (70, 100, 130), (80, 104, 70)))
        brush.ellipse(ex, ey, s * 0.006, s * 0.006, (12, 12, 14))
        brush.line(
            [(ex - s * 0.034, ey - s * 0.008), (ex, ey - s * 0.018), (ex + s * 0.034, ey - s * 0.006)],
            shaded(skin, 0.45),
            s * 0.008,
        )
        brush.line(
            [(ex - s * 0.035, ey - s * 0.036), (ex + s * 0.035, ey - s * 0.04)], shaded(hair, 0.9), s * 0.014
        )
    brush.polygon(
        [(x - s * 0.005, y), (x - s * 0.028, y + s * 0.075), (x + s * 0.022, y + s * 0.078)],
        shaded(skin, 0.86),
    )
    brush.line([(x - s * 0.02, y + s * 0.08), (x + s * 0.02, y + s * 0.08)], shaded(skin, 0.55), s * 0.009)
    lips = (176, 74, 74) if woman else shaded(skin, 0.72)
    brush.ellipse(x, y + s * 0.12, s * 0.045, s * 0.014, lips)
    brush.line(
        [(x - s * 0.042, y + s * 0.119), (x + s * 0.042, y + s * 0.119)], shaded(lips, 0.55), s * 0.006
    )
    brush.polygon(
        [
            (x - s * 0.15, y - s * 0.03),
            (x - s * 0.13, y - s * 0.17),
            (x, y - s * 0.225),
            (x + s * 0.13, y - s * 0.17),
            (x + s * 0.15, y - s * 0.03),
            (x + s * 0.1, y - s * 0.1),
            (x - s * 0.06, y - s * 0.12),
        ],
        shaded(hair, 1.1),
        0.16,
    )
    beard = not woman and rng.random() < 0.4
    if beard:
        brush.polygon(
            [
                (x - s * 0.125, y + s * 0.08),
                (x - s * 0.08, y + s * 0.2),
                (x, y + s * 0.225),
                (x + s * 0.08, y + s * 0.2),
                (x + s * 0.125, y + s * 0.08),
                (x + s * 0.05, y + s * 0.145),
                (x - s * 0.05, y + s * 0.145),
            ],
            hair,
            0.2,
        )
    rows, columns = f.grid(size_px, size_px)
    lean = rng.choice([-1, 1])
    light = np.clip(1 + lean * (columns - x) / s * 0.9 - (rows - y) / s * 0.2, 0.55, 1.25)
    near = np.exp(-(((columns - x) / (s * 0.32)) ** 2) - ((rows - y - s * 0.1) / (s * 0.5)) ** 2)
    softened = f.blur(values, size_px / 220) * (1 + (light - 1) * near)[..., None]
    who = "a woman" if woman else "a man"
    more = "a beard" if beard else f"{hair_name} hair"
    return np.asarray(softened, np.float32), [f"a portrait of {who} with {more}", "a face"]


def animal(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """The face of a cat or a dog, with fur."""
    s = size_px * rng.uniform(0.75, 1.15)
    x, y = size_px * rng.uniform(0.42, 0.58), size_px * rng.uniform(0.45, 0.58)
    values = bokeh(
        rng, size_px, rgb(*choose(rng, (96, 120, 80), (150, 140, 126), (84, 80, 84), (176, 150, 120)))
    )
    brush = Brush(rng, values, DAYLIGHT)
    cat = rng.random() < 0.55
    furs: dict[str, Color3] = {
        "gray": (132, 130, 128),
        "orange": (206, 136, 72),
        "black": (48, 46, 48),
        "white": (228, 224, 216),
        "brown": (134, 96, 64),
    }
    name = str(rng.choice(list(furs)))
    fur = furs[name]
    before = values.copy()
    brush.ellipse(x, y + s * 0.5, s * 0.34, s * 0.36, shaded(fur, 0.85), 0.1)
    for side in (-1, 1):
        if cat:
            brush.polygon(
                [
                    (x + side * s * 0.08, y - s * 0.2),
                    (x + side * s * 0.27, y - s * 0.44),
                    (x + side * s * 0.3, y - s * 0.05),
                ],
                fur,
                0.1,
            )
            brush.polygon(
                [
                    (x + side * s * 0.13, y - s * 0.2),
                    (x + side * s * 0.25, y - s * 0.36),
                    (x + side * s * 0.265, y - s * 0.1),
                ],
                (206, 150, 140),
            )
        else:
            brush.ellipse(x + side * s * 0.29, y - s * 0.02, s * 0.09, s * 0.22, shaded(fur, 0.7), 0.12)
    brush.ellipse(x, y, s * 0.3, s * (0.26 if cat else 0.29), fur, 0.1)
    brush.ellipse(x, y + s * 0.12, s * 0.13, s * (0.1 if cat else 0.13), shaded(fur, 1.25), 0.06)
    striped = cat and rng.random() < 0.6
    if striped:
        for k in range(-3, 4):
            brush.line(
                [(x + k * s * 0.05, y - s * 0.25), (x + k * s * 0.035, y - s * 0.12)],
                shaded(fur, 0.55),
                s * 0.018,
            )
            for side in (-1, 1):
                brush.line(
                    [
                        (x + side * s * 0.3, y + k * s * 0.03 + s * 0.05),
                        (x + side * s * 0.19, y + k * s * 0.02 + s * 0.04),
                    ],
                    shaded(fur, 0.6),
                    s * 0.012,
                )
    strands = f.slanted_grain(rng, size_px, size_px, np.pi / 2 + rng.uniform(-0.4, 0.4), 4)
    changed = np.abs(values - before).max(-1, keepdims=True) > 2
    values *= np.where(changed, 1 + strands[..., None] * 0.3, 1)
    iris = choose(rng, (176, 180, 70), (110, 160, 110), (190, 140, 50)) if cat else (92, 62, 40)
    for side in (-1, 1):
        ex, ey = x + side * s * 0.125, y - s * 0.04
        brush.ellipse(ex, ey, s * 0.062, s * 0.052, (26, 22, 20))
        brush.ellipse(ex, ey, s * 0.052, s * 0.045, iris)
        brush.ellipse(ex, ey, s * (0.016 if cat else 0.03), s * 0.04, (8, 8, 8))
        brush.ellipse(ex - s * 0.015, ey - s * 0.016, s * 0.009, s * 0.009, (250, 250, 250))
    nose = (196, 120, 116) if cat else (30, 28, 28)
    wide = s * (0.032 if cat else 0.055)
    brush.polygon([(x - wide, y + s * 0.07), (x + wide, y + s * 0.07), (x, y + s * 0.07 + wide)], nose)
    brush.line(
        [(x - s * 0.06, y + s * 0.155), (x, y + s * 0.115), (x + s * 0.06, y + s * 0.155)],
        (60, 44, 40),
        s * 0.008,
    )
    if cat:
        for side in (-1, 1):
            for k in range(3):
                brush.line(
                    [
                        (x + side * s * 0.06, y + s * (0.1 + 0.015 * k)),
                        (x + side * s * 0.36, y + s * (0.05 + 0.05 * k)),
                    ],
                    (240, 240, 236),
                    1,
                )
    kind = "cat" if cat else "dog"
    return values, [
        f"a {'striped ' if striped else ''}{name} {kind}".replace("a orange", "an orange"),
        f"the face of a {kind}",
    ]
