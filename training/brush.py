"""A brush that paints textured, lit shapes onto a float canvas, and colors that vary."""

import cv2
import numpy as np

from training import fields as f
from training.fields import Float

Point = tuple[float, float]


class Brush:
    """Paints textured, lit shapes onto a float RGB canvas."""

    def __init__(self, rng: np.random.Generator, values: Float, light: Float) -> None:
        """Paint onto ``values`` in place; ``light`` colors everything."""
        self.rng, self.values, self.light = rng, values, light

    def fill(
        self, mask: np.ndarray, color: tuple[float, float, float] | Float, texture: float = 0.035
    ) -> None:
        """Fill a 0..255 mask with a textured color."""
        height, width = self.values.shape[:2]
        grain = 1 + f.noise(self.rng, height, width, 2) * texture
        share = (mask.astype(np.float32) / 255)[..., None]
        shade = np.asarray(color, np.float32) * grain[..., None] * self.light
        self.values[:] = self.values * (1 - share) + shade * share

    def polygon(self, points: list[Point], color: tuple[float, float, float], texture: float = 0.035) -> None:
        """A filled polygon with smooth edges."""
        mask = np.zeros(self.values.shape[:2], np.uint8)
        corners = (np.array(points, np.float32) * 16).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, shift=4)
        self.fill(mask, color, texture)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        color: tuple[float, float, float],
        texture: float = 0.03,
    ) -> None:
        """An upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color, texture)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        color: tuple[float, float, float],
        texture: float = 0.035,
    ) -> None:
        """An upright ellipse."""
        mask = np.zeros(self.values.shape[:2], np.uint8)
        center, axes = (int(x * 16), int(y * 16)), (max(1, int(rx * 16)), max(1, int(ry * 16)))
        cv2.ellipse(mask, center, axes, 0, 0, 360, 255, -1, cv2.LINE_AA, shift=4)
        self.fill(mask, color, texture)

    def line(self, points: list[Point], color: tuple[float, float, float], width_px: float) -> None:
        """A polyline."""
        mask = np.zeros(self.values.shape[:2], np.uint8)
        corners = (np.array(points, np.float32) * 16).astype(np.int32)
        cv2.polylines(mask, [corners], False, 255, max(1, round(width_px)), cv2.LINE_AA, shift=4)
        self.fill(mask, color, 0.04)

    def glow(self, x: float, y: float, radius: float, color: tuple[float, float, float]) -> None:
        """Light around a lamp, not dimmed by the night."""
        height, width = self.values.shape[:2]
        rows, columns = f.grid(height, width)
        self.values += np.exp(-np.hypot(rows - y, columns - x) / radius)[..., None] * np.asarray(
            color, np.float32
        )


Color3 = tuple[float, float, float]


def choose(rng: np.random.Generator, *colors: Color3) -> Color3:
    """One of some colors, varied a little."""
    base = (
        np.array(colors[int(rng.integers(len(colors)))])
        * rng.uniform(0.85, 1.15)
        * rng.uniform(0.95, 1.05, 3)
    )
    return float(base[0]), float(base[1]), float(base[2])


def shaded(color: Color3, factor: float) -> Color3:
    """A color lighter or darker."""
    return color[0] * factor, color[1] * factor, color[2] * factor
