"""Renderers of season, time of day, weather and color: each changes what a photo's scene looks like.

Like styles, a renderer is ``(rng, picture) -> picture`` on ``uint8`` RGB. ``WEATHER`` and ``COLORS`` name
them.
"""

import cv2
import numpy as np

from training import fields as f
from training.fields import Field, Float, Picture
from training.styles import Renderer

Color = tuple[float, float, float]


def rgb(red: float, green: float, blue: float) -> Float:
    """A color as an array that broadcasts over a picture."""
    return np.array([red, green, blue], np.float32)


def sky_mask(picture: Picture) -> Field:
    """Where the sky probably is, 0..1: smooth, bright, blue or white, and joined to the upper border."""
    height, _ = picture.shape[:2]
    level = f.blur(f.gray(picture), 1.2)
    rough = np.hypot(cv2.Sobel(level, cv2.CV_32F, 1, 0), cv2.Sobel(level, cv2.CV_32F, 0, 1))
    red, green, blue = (picture[..., k].astype(int) for k in range(3))
    bluish = (blue >= red - 18) & (blue >= green - 14)
    deep_blue = (blue > red + 35) & (blue > 95)
    candidate = ((rough < 38) & ((bluish & ((level > 85) | deep_blue)) | (level > 215))).astype(np.uint8)
    _, labels = cv2.connectedComponents(candidate)
    touching = np.unique(labels[:3][candidate[:3] > 0])
    sky = np.isin(labels, touching[touching > 0]).astype(np.float32)
    sky[int(height * 0.85) :] = 0
    opened = cv2.morphologyEx(sky, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return f.blur(np.asarray(opened, np.float32), 1.5)


def mix(below: Float, above: Float, weight: Field) -> Float:
    """Blend two float pictures by a field of 0..1."""
    share = weight[..., None]
    return below * (1 - share) + above * share


def greenery(picture: Picture, center: float, reach: float) -> tuple[Float, Field]:
    """The picture as float HSV and how much each pixel is foliage, 0..1."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(np.float32)
    hue, saturation = hsv[..., 0], hsv[..., 1]
    amount = np.clip(1 - np.abs(hue - center) / reach, 0, 1) * np.clip((saturation - 28) / 40, 0, 1)
    return hsv, f.blur(np.sqrt(amount), 1)


def recolor(hsv: Float, amount: Field, hue: Field, saturation: float, value: float) -> Float:
    """Turn foliage to ``hue`` and scale its saturation and value."""
    turned = hsv.copy()
    turned[..., 0] = hsv[..., 0] * (1 - amount) + hue * amount
    turned[..., 1] = np.clip(hsv[..., 1] * (1 + saturation * amount), 0, 255)
    turned[..., 2] = np.clip(hsv[..., 2] * (1 + value * amount), 0, 255)
    return np.asarray(cv2.cvtColor(f.to_picture(turned), cv2.COLOR_HSV2RGB), np.float32)


def autumn(rng: np.random.Generator, picture: Picture) -> Picture:
    """Foliage turns orange, red and gold, and the light warms."""
    hsv, amount = greenery(picture, 50, 34)
    hue = np.clip(13 + f.noise(rng, picture.shape[0], picture.shape[1], 14) * 6, 2, 24).astype(np.float32)
    values = recolor(hsv, amount, hue, 0.6, 0.25)
    return f.to_picture(values * rgb(1.12, 0.97, 0.8) + rgb(10, 3, -4))


def spring(rng: np.random.Generator, picture: Picture) -> Picture:
    """Fresh bright green and clear light."""
    hsv, amount = greenery(picture, 35, 30)
    hue = (46 + f.noise(rng, picture.shape[0], picture.shape[1], 14) * 5).astype(np.float32)
    return f.to_picture(recolor(hsv, amount, hue, 0.45, 0.2) * rgb(0.98, 1.06, 1.0) + 6)


def snow(rng: np.random.Generator, picture: Picture) -> Picture:
    """Snow on the ground and on whatever faces up, gray sky, flakes in the air."""
    height, width = picture.shape[:2]
    sky = sky_mask(picture)
    level = f.gray(picture)
    values: Float = f.saturate(picture, 0.45).astype(np.float32) * rgb(0.93, 0.98, 1.08)
    facing_up = f.blur(np.clip(-cv2.Sobel(f.blur(level, 1.5), cv2.CV_32F, 0, 1) / -18, 0, 1), 1.5)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    ground = np.clip((down - 0.42) * 1.9, 0, 0.9) * np.clip(
        0.65 + 0.5 * f.cloud(rng, height, width, 40, 3), 0, 1
    )
    _, foliage = greenery(picture, 55, 40)
    cover = np.clip(ground + facing_up * 0.9 + foliage * 0.5, 0, 0.94) * (1 - sky)
    texture = (236 + np.clip((level - 128) * 0.22, -32, 18))[..., None] * rgb(0.97, 0.99, 1.03)
    values = mix(values, texture, cover.astype(np.float32))
    gray_sky = rgb(205, 212, 222) + f.cloud(rng, height, width, 60, 3)[..., None] * 6
    values = mix(values, gray_sky, sky * np.float32(0.85))
    for size_px, share in ((0.9, 0.004), (1.5, 0.0022), (2.4, 0.0008)):
        flakes = f.blur((rng.random((height, width)) < share).astype(np.float32), size_px) * size_px**2 * 6
        values = mix(values, np.full_like(values, 252), np.clip(flakes, 0, 0.95).astype(np.float32))
    return f.to_picture(values)


def night(rng: np.random.Generator, picture: Picture) -> Picture:
    """Blue darkness, stars in the sky, lit windows and highlights now and then."""
    height, width = picture.shape[:2]
    sky = sky_mask(picture)
    level = f.gray(picture)[..., None]
    values = (picture * 0.45 + level * 0.55) * rgb(0.24, 0.32, 0.58) * np.float32(rng.uniform(0.8, 1.1))
    deep = np.linspace(10, 45, height, dtype=np.float32)[:, None, None] * rgb(0.35, 0.55, 1.3)
    values = mix(values.astype(np.float32), np.broadcast_to(deep, values.shape).astype(np.float32), sky)
    stars = (rng.random((height, width)) > 0.997) * rng.random((height, width)) * 255
    values += (f.blur(stars, 0.6) * 2.2 * sky)[..., None]
    if rng.random() < 0.6:
        lamps = (np.clip((level - 165) / 60, 0, 1) * (1 - sky[..., None]) * rgb(230, 160, 60)).astype(
            np.float32
        )
        values += lamps * 0.6 + f.blur(lamps, 5) * 0.45
    return f.to_picture(values)


def sunset(rng: np.random.Generator, picture: Picture) -> Picture:
    """A violet to orange sky with a low sun, and warm light below."""
    height, width = picture.shape[:2]
    sky = sky_mask(picture)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top, middle, low = rgb(95, 50, 120), rgb(245, 110, 60), rgb(255, 205, 90)
    ramp = np.where(
        down < 0.5, top * (1 - 2 * down) + middle * 2 * down, middle * (2 - 2 * down) + low * (2 * down - 1)
    )
    rows, columns = f.grid(height, width)
    center_x, center_y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.3, 0.6) * height
    sun = np.exp(-((columns - center_x) ** 2 + (rows - center_y) ** 2) / (2 * (width * 0.16) ** 2))[..., None]
    clouds = np.clip(f.cloud(rng, height, width, 70, 4)[..., None] * rgb(30, 12, 5), -40, 60)
    glow = ramp * (0.55 + 0.55 * f.gray(picture)[..., None] / 255) + sun * rgb(120, 100, 40) + clouds
    ground = picture * rgb(1.12, 0.78, 0.58) * 0.8 + sun * rgb(60, 30, 5) + rgb(18, 2, 8)
    return f.to_picture(mix(ground.astype(np.float32), glow.astype(np.float32), sky))


def golden_hour(rng: np.random.Generator, picture: Picture) -> Picture:
    """Warm low light with a soft glow."""
    values = picture * rgb(1.15, 1.0, rng.uniform(0.66, 0.78)) + rgb(14, 6, -6)
    glow = f.blur(np.clip(values, 0, 255), 8)
    return f.to_picture(255 - (255 - values) * (255 - glow * 0.25) / 255)


def under_clouds(
    rng: np.random.Generator, picture: Picture, tone: float, contrast: float, tint: Float, ground: float
) -> Float:
    """Replace the sky by clouds of mean ``tone`` and mute the ground to ``ground`` of its light."""
    height, width = picture.shape[:2]
    clouds = (
        np.clip(tone + f.cloud(rng, height, width, rng.uniform(50, 95), 5) * contrast, 20, 228)[..., None]
        * tint
    )
    return mix(f.saturate(picture, 0.58).astype(np.float32) * ground + 8, clouds, sky_mask(picture))


def overcast(rng: np.random.Generator, picture: Picture) -> Picture:
    """A gray sky and flat pale light."""
    return f.to_picture(under_clouds(rng, picture, 152, 26, rgb(0.96, 1, 1.05), 0.82))


def storm(rng: np.random.Generator, picture: Picture) -> Picture:
    """Heavy dark clouds over a dim land."""
    return f.to_picture(under_clouds(rng, picture, 78, 34, rgb(0.92, 0.98, 1.1), 0.55))


def rain(rng: np.random.Generator, picture: Picture) -> Picture:
    """Dull blue light, a wet sheen, and slanted bright streaks."""
    height, width = picture.shape[:2]
    values = under_clouds(rng, picture, 140, 24, rgb(0.96, 1, 1.05), 0.78) * rgb(0.74, 0.82, 0.92)
    drops = (rng.random((height, width)) > 0.985) * rng.random((height, width))
    lean = rng.uniform(0.1, 0.4)
    dy, dx = np.full((height, width), 1, np.float32), np.full((height, width), lean, np.float32)
    streaks = f.smear(drops.astype(np.float32), dy, dx, int(rng.integers(6, 10)))
    return f.to_picture(values + np.clip(streaks * rng.uniform(700, 1000), 0, 105)[..., None])


def fog(rng: np.random.Generator, picture: Picture) -> Picture:
    """Pale mist, thicker toward the distance (the upper part)."""
    height, width = picture.shape[:2]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    depth = np.clip(0.88 - down * 0.6 + f.cloud(rng, height, width, 80, 3) * 0.09, 0.18, 0.93)
    soft = f.blur(f.saturate(picture, 0.6), 0.8)
    return f.to_picture(mix(soft, np.broadcast_to(rgb(205, 210, 214), soft.shape).astype(np.float32), depth))


WEATHER: dict[str, Renderer] = {
    "autumn": autumn,
    "spring": spring,
    "snow": snow,
    "night": night,
    "sunset": sunset,
    "golden_hour": golden_hour,
    "overcast": overcast,
    "storm": storm,
    "rain": rain,
    "fog": fog,
}

WEATHER_WEIGHTS = {
    "autumn": 1.6,
    "spring": 0.7,
    "snow": 1.8,
    "night": 1.5,
    "sunset": 1.3,
    "golden_hour": 0.6,
    "overcast": 1.0,
    "storm": 0.7,
    "rain": 1.3,
    "fog": 0.9,
}


def tint(factors: Color, keep: float) -> Renderer:
    """A renderer that tints toward a color and keeps ``keep`` of the picture's own color."""

    def tinted(rng: np.random.Generator, picture: Picture) -> Picture:
        level = f.gray(picture)[..., None]
        own = picture * np.float32(keep) + level * np.float32(1 - keep)
        strength = np.float32(rng.uniform(0.85, 1.1))
        return f.to_picture(own * (1 + (rgb(*factors) - 1) * strength) * 1.02)

    return tinted


def saturation(factor: float, lift: float) -> Renderer:
    """A renderer that scales saturation and mixes in ``lift`` of white."""

    def saturated(rng: np.random.Generator, picture: Picture) -> Picture:
        values = f.saturate(picture, factor * rng.uniform(0.9, 1.1)).astype(np.float32)
        return f.to_picture(values * (1 - lift) + 255 * lift)

    return saturated


COLORS: dict[str, Renderer] = {
    "red": tint((1.35, 0.6, 0.55), 0.35),
    "blue": tint((0.6, 0.8, 1.4), 0.35),
    "green": tint((0.7, 1.25, 0.7), 0.35),
    "purple": tint((1.05, 0.65, 1.3), 0.35),
    "orange": tint((1.3, 0.9, 0.5), 0.35),
    "pink": tint((1.3, 0.85, 1.05), 0.35),
    "yellow": tint((1.2, 1.1, 0.5), 0.35),
    "teal": tint((0.6, 1.1, 1.1), 0.35),
    "warm": tint((1.14, 1.0, 0.8), 0.9),
    "cool": tint((0.85, 0.98, 1.2), 0.9),
    "pastel": saturation(0.75, 0.35),
    "vivid": saturation(1.9, 0.0),
}
