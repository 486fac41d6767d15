"""Renderers of the styles: each turns a picture into the same picture as a medium would show it.

A style is a function ``(rng, picture) -> picture`` on ``uint8`` RGB of any size from 64 pixels up. Texture
is in pixels, not relative to the size, since that is how the model sees it. ``STYLES`` names them all.
"""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from training import fields as f
from training.fields import Float, Picture

Renderer = Callable[[np.random.Generator, Picture], Picture]


def watercolor(rng: np.random.Generator, picture: Picture) -> Picture:
    """Flat translucent washes with dark rims, granulation, and paper left white in the lights."""
    height, width = picture.shape[:2]
    washes = f.flatten_tones(f.smooth(picture, 9, 60), rng.uniform(3.5, 5), 9)
    washes = f.to_picture(f.wobble(rng, washes, rng.uniform(1.2, 2.4), rng.uniform(8, 14)))
    values: Float = f.saturate(washes, rng.uniform(1.5, 1.9)).astype(np.float32)
    values = 255 - (255 - values) * np.float32(rng.uniform(0.72, 0.86))
    rim = np.abs(cv2.Laplacian(f.blur(f.gray(values), 1.4), cv2.CV_32F))
    values -= np.clip(rim * rng.uniform(6, 9), 0, 70)[..., None]
    pooling = f.cloud(rng, height, width, rng.uniform(28, 60), 4) * np.float32(rng.uniform(12, 20))
    depth = (255 - f.gray(values)) / 255
    values += (pooling * (0.25 + 0.9 * depth))[..., None] * np.array([1, 0.92, 0.82], np.float32)
    granulation = f.noise(rng, height, width, 1.6) * depth * np.float32(rng.uniform(8, 14))
    values += granulation[..., None]
    light = f.gray(values) / 255
    edge = np.minimum.reduce(
        np.meshgrid(*(np.minimum(np.arange(n), n - 1 - np.arange(n)) for n in (height, width)), indexing="ij")
    )
    border = np.clip(1 - edge / (0.07 * min(height, width)) + f.cloud(rng, height, width, 24, 3) * 0.5, 0, 1)
    bare = np.clip((light - 0.74) * 2.4 + f.cloud(rng, height, width, 50, 3) * 0.22, 0, 1) * 0.85
    if rng.random() < 0.5:
        bare = np.maximum(bare, border)
    values = values * (1 - bare[..., None]) + np.array([252, 249, 241], np.float32) * bare[..., None]
    return f.to_picture(values + f.paper(rng, height, width, rng.uniform(3, 5))[..., None])


def oil(rng: np.random.Generator, picture: Picture) -> Picture:
    """Thick paint: rich flattened color pulled along the forms, bristle relief lit from the upper left."""
    height, width = picture.shape[:2]
    dy, dx = f.flow(picture, rng.uniform(3, 5))
    paint = f.saturate(
        f.flatten_tones(picture, rng.uniform(3, 5), int(rng.integers(6, 9))), rng.uniform(1.25, 1.55)
    )
    paint_values = f.smear(paint, dy, dx, int(rng.integers(4, 7)))
    strokes = f.noise(rng, height, width, rng.uniform(3, 5))
    bristles = f.smear(f.noise(rng, height, width, 1.6), dy, dx, 8)
    dabs = f.smear(strokes, dy, dx, 6)
    emboss = np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float32)
    relief = cv2.filter2D(bristles, -1, emboss) * rng.uniform(16, 24) + cv2.filter2D(
        dabs, -1, emboss
    ) * rng.uniform(5, 9)
    values = (paint_values - 122) * 1.16 + 116 + (relief + dabs * 9)[..., None]
    return f.to_picture(values * np.array([1.04, 1.0, 0.92], np.float32))


def impressionist(rng: np.random.Generator, picture: Picture) -> Picture:
    """Short broken dabs of bright color that follow the forms and swirl a little."""
    height, width = picture.shape[:2]
    colors = f.blur(f.saturate(picture, rng.uniform(1.45, 1.8)), 1.2)
    canvas = f.to_picture(f.blur(colors, 3))
    dy, dx = f.flow(picture, 4)
    angle = np.arctan2(dy, dx) + np.float32(rng.uniform(0, 0.9)) * f.cloud(rng, height, width, 60, 2)
    width_px = int(rng.integers(3, 5))
    length_px = width_px * rng.uniform(1.8, 2.6)
    count = int(height * width / (width_px * length_px) * 1.3)
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    shades = np.clip(
        colors[rows, columns] + rng.integers(-26, 27, (count, 3)) + rng.integers(-12, 13, (count, 1)), 0, 255
    )
    turn = angle[rows, columns]
    reach_x, reach_y = np.cos(turn) * length_px, np.sin(turn) * length_px
    starts = np.stack([columns - reach_x, rows - reach_y], -1).astype(int).tolist()
    ends = np.stack([columns + reach_x, rows + reach_y], -1).astype(int).tolist()
    for start, end, shade in zip(starts, ends, shades.astype(int).tolist(), strict=True):
        cv2.line(canvas, start, end, shade, width_px, cv2.LINE_AA)
    return canvas


def pixel_art(rng: np.random.Generator, picture: Picture) -> Picture:
    """Hard square cells of 4 or 8 pixels (whole latent cells) in a small bright palette with dark
    contours.
    """
    height, width = picture.shape[:2]
    cell_px = 8 if rng.random() < 0.6 else 4
    size = (max(8, width // cell_px), max(8, height // cell_px))
    calm = f.smooth(f.saturate(picture, rng.uniform(1.3, 1.6)), 5, 30)
    small = cv2.resize(calm, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small = small * 1.5 - f.blur(small, 1) * 0.5
    small = (small - 128) * 1.15 + 130
    if rng.random() < 0.35:
        checker = np.indices((size[1], size[0])).sum(0) % 2 * 2 - 1
        small += (checker * rng.uniform(4, 9))[..., None]
    palette = Image.fromarray(f.to_picture(small)).quantize(
        int(rng.choice([8, 12, 16, 20])), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    cells = np.asarray(palette.convert("RGB"))
    grown = cv2.resize(cells, (size[0] * cell_px, size[1] * cell_px), interpolation=cv2.INTER_NEAREST)
    rest = ((0, height - grown.shape[0]), (0, width - grown.shape[1]), (0, 0))
    return np.asarray(np.pad(grown, rest, mode="edge"), np.uint8)


def charcoal(rng: np.random.Generator, picture: Picture) -> Picture:
    """Black smudged chalk: deep shadows, dragged grain, bright rough paper."""
    height, width = picture.shape[:2]
    level = f.gray(f.smooth(picture, 7, 40))
    tone = np.clip((f.local_contrast(level, 2.5) / 255) ** rng.uniform(0.65, 0.9) + 0.16, 0, 1)
    lines = np.clip(level / np.maximum(f.blur(level, rng.uniform(4, 7)), 8), 0, 1.05)
    hatch = f.slanted_grain(rng, height, width, -np.pi / 4 + rng.uniform(-0.3, 0.3), 5)
    grain = f.paper(rng, height, width, 0.8)
    dark = 1 - lines ** rng.uniform(2.4, 3.4) * tone
    dark = np.clip(dark * (1 + 0.95 * hatch) + dark * grain * 0.3, 0, 1)
    values = (1 - dark) * 236 + 9 + grain * 5
    return f.to_picture(f.repeat_gray(values.astype(np.float32)) * np.array([1, 0.99, 0.965], np.float32))


def pencil(rng: np.random.Generator, picture: Picture) -> Picture:
    """Light graphite: thin gray lines and fine hatching on white paper."""
    height, width = picture.shape[:2]
    level = f.gray(picture)
    lines = np.clip(level / np.maximum(f.blur(level, rng.uniform(2, 4)), 6), 0, 1) ** 2.2
    hatch = f.slanted_grain(rng, height, width, rng.uniform(-0.9, -0.5), 6)
    tone = np.clip(level / 255 + rng.uniform(0.36, 0.46), 0, 1)
    shade = np.clip((1 - lines * tone) * (1 + hatch), 0, 1) * 0.9
    values = (1 - shade) * 246 + f.paper(rng, height, width, 2.5) + 5
    return f.to_picture(f.repeat_gray(values.astype(np.float32)) * np.array([0.99, 0.99, 1], np.float32))


def line_art(rng: np.random.Generator, picture: Picture) -> Picture:
    """Clean black ink outlines on pure white, now and then with solid blacks."""
    lines = f.outlines(picture, rng.uniform(0.9, 1.3), 0.985, rng.uniform(130, 220))
    if rng.random() < 0.3:
        lines = np.minimum(lines, (f.blur(f.gray(picture), 1.5) > rng.uniform(20, 45)).astype(np.float32))
    return f.to_picture(f.repeat_gray(f.blur(lines, 0.5)) * 255)


VAPORWAVE_RAMPS = (
    [(45, 10, 90), (150, 40, 170), (255, 90, 190), (255, 170, 200), (170, 250, 255)],
    [(30, 20, 100), (90, 60, 200), (240, 80, 200), (255, 160, 180), (255, 240, 190)],
    [(20, 30, 90), (110, 50, 180), (250, 90, 170), (110, 220, 240), (220, 255, 255)],
)


def vaporwave(rng: np.random.Generator, picture: Picture) -> Picture:
    """Violet shadows, pink middles, cyan lights, glow, sometimes scan lines and split color."""
    height = picture.shape[0]
    level = f.local_contrast(f.gray(picture), 2)
    values = f.gradient_map(level, VAPORWAVE_RAMPS[int(rng.integers(len(VAPORWAVE_RAMPS)))])
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.array([255, 110, 200], np.float32) * (1 - down) + np.array([60, 210, 255], np.float32) * down
    values = values * 0.82 + sky * 0.18 + 0.12 * (picture.astype(np.float32) - 128)
    values = 255 - (255 - values) * (255 - np.clip(f.blur(values, 6), 0, 255) * 0.28) / 255
    if rng.random() < 0.4:
        values[::4] *= 0.88
        values[1::4] *= 0.92
    if rng.random() < 0.4:
        values[..., 0] = np.roll(values[..., 0], 2, 1)
        values[..., 2] = np.roll(values[..., 2], -2, 1)
    return f.to_picture(values)


def neon(rng: np.random.Generator, picture: Picture) -> Picture:
    """Cyberpunk night: dark violet tones with glowing magenta and cyan contours."""
    height, width = picture.shape[:2]
    level = f.gray(f.smooth(picture, 5, 40))
    values = f.gradient_map(
        level * 0.85, [(4, 4, 20), (16, 14, 60), (50, 20, 110), (120, 40, 170), (230, 140, 240)]
    )
    soft = f.blur(level, 1)
    strength = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    lines = np.clip(strength / rng.uniform(110, 170) - 0.14, 0, 1)[..., None]
    mix = np.clip(0.5 + 0.9 * f.cloud(rng, height, width, 70, 2) + level / 255 - 0.5, 0, 1)[..., None]
    warm = np.array([(255, 40, 200), (255, 60, 120)][int(rng.integers(2))], np.float32)
    cool = np.array([(0, 230, 255), (40, 255, 220)][int(rng.integers(2))], np.float32)
    glow = lines * (warm * mix + cool * (1 - mix))
    return f.to_picture(values * 0.75 + glow * 0.8 + f.blur(glow, 2.2) * 0.45 + f.blur(glow, 7) * 0.4)


def comic(rng: np.random.Generator, picture: Picture) -> Picture:
    """Flat saturated color in a few steps inside bold black outlines, dots in the shadows now and then."""
    flat = f.flatten_tones(f.smooth(f.smooth(picture), 9, 55), 3.5, 7)
    hls = cv2.cvtColor(f.saturate(flat, rng.uniform(1.5, 1.9)), cv2.COLOR_RGB2HLS).astype(np.float32)
    step = rng.uniform(40, 56)
    hls[..., 1] = np.clip(np.round((hls[..., 1] + 8) / step) * step, 18, 245)
    values = cv2.cvtColor(f.to_picture(hls), cv2.COLOR_HLS2RGB).astype(np.float32)
    if rng.random() < 0.35:
        rows, columns = f.grid(*picture.shape[:2])
        dots = np.cos(2 * np.pi * (rows + columns) / 6) * np.cos(2 * np.pi * (columns - rows) / 6) > 0.35
        values[dots & (f.gray(flat) < 110)] *= 0.72
    ink = f.blur(f.outlines(picture, rng.uniform(1.0, 1.3), 0.975, 150), 0.5)
    return f.to_picture(values * 1.05 * ink[..., None])


def ukiyo_e(rng: np.random.Generator, picture: Picture) -> Picture:
    """Woodblock print: few muted inks with a graded sky, indigo key lines, wood grain, warm paper."""
    height, width = picture.shape[:2]
    flat = f.flatten_tones(f.smooth(picture, 9, 55), 4.5, 6)
    lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] = np.round(lab[..., 0] / 38) * 38 + 8
    lab[..., 1:] = 128 + np.round((lab[..., 1:] - 128) / 9) * 9
    lab[..., 2] = np.where(lab[..., 2] < 124, lab[..., 2] - 8, lab[..., 2] + 4)
    values = cv2.cvtColor(f.to_picture(lab), cv2.COLOR_LAB2RGB).astype(np.float32)
    values = values * 0.76 + np.array([236, 216, 174], np.float32) * 0.26
    bokashi = np.clip(1 - np.linspace(0, 1, height, dtype=np.float32) / rng.uniform(0.15, 0.3), 0, 1)[
        :, None, None
    ]
    values = values * (1 - 0.55 * bokashi) + np.array([52, 84, 128], np.float32) * 0.55 * bokashi
    ink = f.outlines(picture, 1.2, 0.98, 130)[..., None]
    values = values * ink + np.array([32, 38, 66], np.float32) * (1 - ink)
    grain = f.smear(
        f.noise(rng, height, width, 1.5),
        np.zeros((height, width), np.float32),
        np.ones((height, width), np.float32),
        7,
    )
    return f.to_picture(values + grain[..., None] * 9 + f.paper(rng, height, width, 2.5)[..., None])


POP_ART_PALETTES = (
    [(30, 20, 80), (230, 30, 90), (255, 200, 20), (255, 250, 220)],
    [(20, 20, 30), (0, 110, 200), (255, 90, 60), (255, 235, 120)],
    [(60, 0, 80), (0, 160, 150), (255, 120, 170), (255, 250, 190)],
    [(10, 10, 20), (220, 20, 50), (0, 190, 220), (255, 240, 60)],
)


def pop_art(rng: np.random.Generator, picture: Picture) -> Picture:
    """Four loud flat colors with halftone dots in the darker ones."""
    level = f.local_contrast(f.blur(f.gray(picture), 1.2), 3)
    palette = np.array(POP_ART_PALETTES[int(rng.integers(len(POP_ART_PALETTES)))], np.float32)
    values = palette[np.clip((level / 64).astype(int), 0, 3)]
    rows, columns = f.grid(*picture.shape[:2])
    dots = np.cos(2 * np.pi * (rows + columns) / 8) * np.cos(2 * np.pi * (columns - rows) / 8)
    inked = (dots > (level / 255 * 2 - 1) * 0.9 + 0.2) & (level < 180)
    values[inked] *= 0.66
    return f.to_picture(values)


def stained_glass(rng: np.random.Generator, picture: Picture) -> Picture:
    """Panes of one bright color each, joined by dark lead."""
    height, width = picture.shape[:2]
    pane_px = rng.choice([10, 12, 16])
    count = int(height * width / pane_px**2)
    seeds = np.full((height, width), 255, np.uint8)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    size = np.maximum(np.bincount(labels.ravel()), 1)
    panes = np.stack([np.bincount(labels.ravel(), picture[..., k].ravel()) / size for k in range(3)], -1)[
        labels
    ]
    values = f.saturate(f.to_picture(panes), 1.6).astype(np.float32) * 1.1
    values += f.cloud(rng, height, width, 12, 2)[..., None] * 8
    lead = cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((2, 2))) > 0
    values[lead] = 22
    return f.to_picture(values)


def sepia(rng: np.random.Generator, picture: Picture) -> Picture:
    """An old brown photograph with dark corners and grain."""
    height, width = picture.shape[:2]
    values = f.gradient_map(
        (f.gray(picture) - 128) * 0.85 + 133, [(45, 28, 15), (150, 110, 70), (250, 230, 190)]
    )
    rows, columns = f.grid(height, width)
    distance = (rows / height * 2 - 1) ** 2 + (columns / width * 2 - 1) ** 2
    corners = 1 - 0.35 * np.clip(distance - 0.5, 0, 1.5)
    return f.to_picture(values * corners[..., None] + f.noise(rng, height, width, 1)[..., None] * 7)


def monochrome(rng: np.random.Generator, picture: Picture) -> Picture:
    """A black and white photograph."""
    level = f.local_contrast(f.gray(picture), rng.uniform(1.2, 1.8))
    return f.to_picture(f.repeat_gray((level - 128) * rng.uniform(1.05, 1.2) + 128))


STYLES: dict[str, Renderer] = {
    "watercolor": watercolor,
    "oil": oil,
    "impressionist": impressionist,
    "pixel_art": pixel_art,
    "charcoal": charcoal,
    "pencil": pencil,
    "line_art": line_art,
    "vaporwave": vaporwave,
    "neon": neon,
    "comic": comic,
    "ukiyo_e": ukiyo_e,
    "pop_art": pop_art,
    "stained_glass": stained_glass,
    "sepia": sepia,
    "monochrome": monochrome,
}
"""Every style by name; the first twelve are those that the model promises."""

PROMISED_STYLES = tuple(STYLES)[:12]

STYLE_WEIGHTS = {
    "watercolor": 3.0,
    "oil": 3.0,
    "impressionist": 2.0,
    "pixel_art": 4.0,
    "charcoal": 1.6,
    "pencil": 1.2,
    "line_art": 2.0,
    "vaporwave": 1.5,
    "neon": 1.8,
    "comic": 2.2,
    "ukiyo_e": 1.8,
    "pop_art": 1.2,
    "stained_glass": 0.8,
    "sepia": 0.6,
    "monochrome": 0.6,
}
"""How often each is drawn for training: what version 0 learned worst, more often."""
