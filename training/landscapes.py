"""Procedural landscapes: a sky, layers of land from far to near, water or ground, and things that stand on
it.

Everything is painted back to front into a float canvas, with haze by distance, texture and grain, so that
the result has the statistics of a photo rather than of a drawing. Each builder says what it drew.
"""

import cv2
import numpy as np

from training import fields as f
from training import structures
from training.fields import Field, Float, Picture
from training.skies import Canvas, paint_sky, pick, rgb


def profile(rng: np.random.Generator, width: int, roughness: float, octaves: int = 6) -> Field:
    """A fractal line of about unit height; ``roughness`` 0.35 gives hills, 0.6 rocky ridges."""
    line = np.zeros(width, np.float32)
    for octave in range(octaves):
        knots = rng.standard_normal(2 + 2 ** (octave + 1)).astype(np.float32)
        line += (
            np.interp(np.linspace(0, len(knots) - 1, width), np.arange(len(knots)), knots) * roughness**octave
        )
    return np.asarray(line, np.float32)


def below(line: Field, height: int) -> Field:
    """Mask of what lies below a line of rows, with a soft edge of one pixel."""
    rows = np.arange(height, dtype=np.float32)[:, None]
    return np.clip(rows - line[None, :] + 0.5, 0, 1).astype(np.float32)


def mountains(rng: np.random.Generator, canvas: Canvas) -> None:
    """One to three ridges with lit and shaded flanks, often with snow above a line."""
    height, width = canvas.size
    snowy = rng.random() < 0.5
    rock = pick(rng, rgb(112, 104, 98), rgb(124, 98, 80), rgb(90, 96, 106), rgb(84, 92, 70))
    layers = int(rng.integers(1, 4))
    for layer in range(layers):
        nearness = (layer + 1) / layers
        peak = height * rng.uniform(0.1, 0.24) * (1.25 - 0.4 * nearness)
        line = canvas.horizon - peak * 0.35 - profile(rng, width, rng.uniform(0.48, 0.6)) * peak * 0.45
        relief = f.cloud(rng, height, width, width * 0.12, 5)
        rows, columns = f.grid(height, width)
        relief = f.resample(relief, rows * 0.75, columns + rows * rng.uniform(-0.5, 0.5))
        lit = np.clip(1 + (np.roll(relief, 3, 1) - relief) * 1.2, 0.45, 1.7)[..., None]
        color = rock * lit * canvas.light
        if snowy:
            level = line[None, :] + peak * rng.uniform(0.25, 0.6)
            cap = np.clip((level - rows + relief * peak * 0.3) / 5, 0, 1)[..., None]
            color = (
                color * (1 - cap)
                + rgb(238, 242, 250) * np.clip(lit, 0.7, 1.05) * canvas.light.clip(0.4, 1) * cap
            )
        air = 0.55 * (1 - nearness) + 0.12
        canvas.cover(
            (color * (1 - air) + canvas.haze * air).astype(np.float32), below(line.astype(np.float32), height)
        )
    canvas.words.insert(0, "snowy mountains" if snowy else "mountains")


def hills(rng: np.random.Generator, canvas: Canvas) -> None:
    """Soft green or dry hills, with dark bushes and trees strewn on them."""
    height, width = canvas.size
    grass = pick(rng, rgb(88, 130, 52), rgb(112, 140, 62), rgb(150, 138, 78), rgb(64, 104, 48))
    for layer in range(int(rng.integers(1, 4))):
        drop = height * (0.02 + 0.06 * layer)
        line = canvas.horizon + drop - profile(rng, width, 0.36, 4) * height * rng.uniform(0.02, 0.05)
        texture = 1 + f.cloud(rng, height, width, 30, 5) * 0.14
        color = grass * rng.uniform(0.85, 1.15, 3) * canvas.light * texture[..., None]
        bushes = f.noise(rng, height, width, rng.uniform(5, 10)) + f.cloud(rng, height, width, width * 0.3, 2)
        dark = np.clip((bushes - rng.uniform(0.9, 2.0)) * 2, 0, 1)[..., None]
        color = color * (1 - 0.6 * dark)
        air = 0.3 / (layer + 1)
        canvas.cover(
            (color * (1 - air) + canvas.haze * air).astype(np.float32), below(line.astype(np.float32), height)
        )
    canvas.words.insert(0, "green hills" if grass[1] > grass[0] * 1.1 else "dry hills")


def forest_line(rng: np.random.Generator, canvas: Canvas) -> None:
    """A dense row of firs or of round trees along the horizon."""
    height, width = canvas.size
    conifers = rng.random() < 0.5
    green = pick(rng, rgb(40, 66, 38), rgb(60, 88, 42), rgb(34, 56, 44))
    if rng.random() < 0.2 and not conifers:
        green = pick(rng, rgb(176, 100, 36), rgb(168, 130, 44), rgb(150, 66, 36))
    tall = height * rng.uniform(0.08, 0.26)
    columns = np.arange(width, dtype=np.float32)
    for row in range(2):
        x = 0.0
        line = np.full(width, float(canvas.horizon), np.float32) + row * tall * 0.2
        while x < width:
            size = tall * rng.uniform(0.55, 1.05)
            half = size * (0.22 if conifers else 0.4)
            near = np.abs(columns - x) / half
            tooth = 1 - near if conifers else np.sqrt(np.clip(1 - near**2, 0, 1))
            top = canvas.horizon + row * tall * 0.2 - size * np.clip(tooth, 0, 1)
            line = np.where(near < 1, np.minimum(line, top), line)
            x += half * rng.uniform(0.5, 1.1)
        line += f.noise(rng, 2, width, 3)[0] * tall * 0.035
        leaves = 1 + f.noise(rng, height, width, 3) * 0.22 + f.noise(rng, height, width, 8) * 0.18
        color = green * leaves[..., None] * canvas.light * (0.9 + 0.25 * row)
        canvas.cover(color.astype(np.float32), below(line.astype(np.float32), height))
    autumnal = green[0] > green[1]
    canvas.words.insert(0, "an autumn forest" if autumnal else "a pine forest" if conifers else "a forest")


def stretched(noise: Field, width: int) -> Field:
    """Noise drawn out to a width: wave crests are long."""
    grown = cv2.resize(noise, (width, noise.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown, np.float32)


def water(rng: np.random.Generator, canvas: Canvas) -> None:
    """A lake, river or sea: the mirrored scene, broken by waves that grow toward the viewer."""
    height, width = canvas.size
    shore = min(canvas.horizon + int(height * rng.uniform(0, 0.04)), height - 8)
    rows, columns = f.grid(height, width)
    depth = np.clip((rows - shore) / max(height - shore, 1), 0, 1)
    waves = stretched(f.noise(rng, height, max(8, width // 6), 2.5), width)
    swell = stretched(f.noise(rng, height, max(8, width // 4), 9), width)
    rough = rng.uniform(2, 14)
    mirrored = f.resample(
        canvas.values, 2 * shore - rows + (waves + swell) * depth * rough, columns + swell * depth * 4
    )
    deep = pick(rng, rgb(30, 72, 100), rgb(24, 92, 104), rgb(60, 84, 92), rgb(40, 80, 70)) * canvas.light
    blend = rng.uniform(0.25, 0.6) + 0.25 * depth[..., None]
    color = (
        mirrored * (1 - blend)
        + deep * blend
        + ((waves + 0.6 * swell) * depth)[..., None] * rng.uniform(4, 16)
    )
    canvas.cover(color.astype(np.float32), np.clip(rows - shore + 0.5, 0, 1))
    canvas.words.insert(0, str(rng.choice(["a lake", "a lake", "the sea", "water"])))


def meadow(rng: np.random.Generator, canvas: Canvas) -> None:
    """Grass with blades that grow toward the viewer, sometimes full of flowers."""
    height, width = canvas.size
    rows, _ = f.grid(height, width)
    depth = np.clip((rows - canvas.horizon) / max(height - canvas.horizon, 1), 0, 1)
    blades = f.slanted_grain(rng, height, width, np.pi / 2 + rng.uniform(-0.2, 0.2), 4)
    patches = f.cloud(rng, height, width, width * 0.25, 4)
    green = pick(rng, rgb(84, 128, 46), rgb(104, 138, 54), rgb(120, 124, 62), rgb(70, 112, 50))
    texture = 1 + patches * 0.16 + blades * (0.15 + 0.7 * depth)
    line = canvas.horizon + profile(rng, width, 0.3, 4) * height * 0.008
    canvas.cover(
        (green * texture[..., None] * canvas.light).astype(np.float32), below(line.astype(np.float32), height)
    )
    word = "a green meadow"
    if rng.random() < 0.35:
        names = {
            "red": rgb(215, 40, 40),
            "yellow": rgb(240, 205, 50),
            "white": rgb(240, 240, 232),
            "purple": rgb(140, 80, 190),
            "pink": rgb(235, 130, 170),
        }
        name = str(rng.choice(list(names)))
        stretch = np.repeat(rng.random((height, width))[:, :, None], 1, 2)[..., 0]
        dots = f.blur((stretch > 1 - 0.03) * (0.3 + depth), 0.8 + width / 400) * 8
        canvas.cover(names[name] * canvas.light, np.clip(dots * (depth > 0.05), 0, 1).astype(np.float32))
        word = f"a meadow with {name} flowers"
    canvas.words.insert(0, word)


def sand(rng: np.random.Generator, canvas: Canvas) -> None:
    """A desert with dunes, or a beach with the sea behind."""
    height, width = canvas.size
    color = pick(rng, rgb(214, 184, 134), rgb(226, 190, 150), rgb(202, 150, 100))
    beach = rng.random() < 0.4
    if beach:
        water(rng, canvas)
        canvas.words.pop(0)
    start = canvas.horizon + (int((height - canvas.horizon) * rng.uniform(0.3, 0.6)) if beach else 0)
    for layer in range(1 if beach else 3):
        line = start + layer * (height - start) * 0.25 - profile(rng, width, 0.3, 4) * height * 0.02
        ripples = f.resample(
            f.noise(rng, height, width, 4),
            *[g * s for g, s in zip(f.grid(height, width), (1.0, 0.25), strict=True)],
        )
        lit = (
            1
            + f.cloud(rng, height, width, width * 0.4, 3) * 0.1
            + ripples * 0.05
            + f.noise(rng, height, width, 1) * 0.03
        )
        canvas.cover(
            (color * lit[..., None] * canvas.light).astype(np.float32), below(line.astype(np.float32), height)
        )
    canvas.words.insert(0, "a sandy beach by the sea" if beach else "a desert with sand dunes")


def snow_field(rng: np.random.Generator, canvas: Canvas) -> None:
    """Snow on the ground with blue shadows."""
    height, width = canvas.size
    line = canvas.horizon + profile(rng, width, 0.3, 4) * height * 0.012
    lit = 1 + f.cloud(rng, height, width, width * 0.3, 4) * 0.07 + f.noise(rng, height, width, 1.2) * 0.02
    canvas.cover(
        (rgb(228, 235, 246) * lit[..., None] * canvas.light.clip(0.35, 1.05)).astype(np.float32),
        below(line.astype(np.float32), height),
    )
    canvas.words.insert(0, "a snowy field")


def road(rng: np.random.Generator, canvas: Canvas) -> None:
    """A road or path to the horizon in perspective."""
    height, width = canvas.size
    rows, columns = f.grid(height, width)
    depth = np.clip((rows - canvas.horizon) / max(height - canvas.horizon, 1), 0, 1)
    bend = np.sin(depth * rng.uniform(0.5, 3) + rng.uniform(0, 6)) * width * 0.06 * (1 - depth)
    center = width * (rng.uniform(0.3, 0.7) * (1 - depth) + rng.uniform(0.3, 0.7) * depth) + bend
    half = width * (0.006 + rng.uniform(0.12, 0.3) * depth)
    mask = np.clip(half - np.abs(columns - center) + 0.5, 0, 1) * (rows > canvas.horizon)
    asphalt = rng.random() < 0.5
    color = rgb(92, 92, 96) if asphalt else pick(rng, rgb(168, 142, 104), rgb(140, 118, 90))
    texture = 1 + f.noise(rng, height, width, 1.2) * 0.07 + f.cloud(rng, height, width, 30, 3) * 0.06
    canvas.cover((color * texture[..., None] * canvas.light).astype(np.float32), mask.astype(np.float32))
    if asphalt:
        dashes = np.sin(18 / (depth + 0.06)) > 0
        middle = (
            np.clip(half * 0.06 - np.abs(columns - center) + 0.3, 0, 1) * dashes * (rows > canvas.horizon)
        )
        canvas.cover(rgb(226, 222, 206) * canvas.light, middle.astype(np.float32))
    canvas.words.insert(0, "a road" if asphalt else "a path")


GROUND = (meadow, meadow, water, water, sand, snow_field)


def landscape(rng: np.random.Generator, size_px: int) -> tuple[Float, list[str]]:
    """A random landscape."""
    canvas = paint_sky(rng, size_px)
    for layer in (mountains, hills, forest_line):
        if rng.random() < (0.45 if layer is mountains else 0.4):
            layer(rng, canvas)
    ground = GROUND[int(rng.integers(len(GROUND)))]
    ground(rng, canvas)
    if ground is meadow and rng.random() < 0.3:
        road(rng, canvas)
    floating = ground is water
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        word = structures.add_structure(rng, canvas.values, canvas.horizon, canvas.light, floating)
        if word not in canvas.words:
            canvas.words.insert(0, word)
    return canvas.values, canvas.words


def finish(rng: np.random.Generator, values: Float) -> Picture:
    """What a camera adds: a little blur or sharpening, vignette, tone curve, grain."""
    height, width = values.shape[:2]
    rows, columns = f.grid(height, width)
    corner = (rows / height * 2 - 1) ** 2 + (columns / width * 2 - 1) ** 2
    shaped = values * (1 - rng.uniform(0, 0.12) * corner[..., None])
    softness = rng.uniform(-0.6, 0.6)
    if softness > 0.25:
        shaped = f.blur(shaped, softness)
    elif softness < 0:
        shaped = shaped + (shaped - f.blur(shaped, 1.2)) * -softness
    shaped = 255 * np.clip(shaped / 255, 0, 1) ** rng.uniform(0.85, 1.2)
    grain = f.noise(rng, height, width, 1)[..., None] * rng.uniform(0.5, 4)
    return f.to_picture(shaped + grain)


def describe(rng: np.random.Generator, words: list[str]) -> str:
    """Some of the words, those in front being the most important."""
    count = min(len(words), int(rng.integers(1, 5)))
    return ", ".join(words[:count])
