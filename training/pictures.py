"""Source pictures to train on: crops of photos, views into panoramas, drawings on backgrounds, procedural
scenes.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from training import fields as f
from training.fields import Float, Picture
from training.scenes import random_scene


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """A picture and what it shows; the caption is empty where a crop no longer shows it."""

    picture: Picture
    caption: str


def square_crop(
    rng: np.random.Generator, picture: Picture, size_px: int, smallest_px: int = 150
) -> tuple[Picture, float]:
    """A random square of the picture resized to ``size_px``, and its share of the picture's short side."""
    height, width = picture.shape[:2]
    short = min(height, width)
    side = short if rng.random() < 0.3 else int(rng.uniform(min(short, smallest_px), short))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    how = cv2.INTER_AREA if side >= size_px else cv2.INTER_CUBIC
    crop = cv2.resize(picture[top : top + side, left : left + side], (size_px, size_px), interpolation=how)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return np.ascontiguousarray(crop), side / short


def panorama_view(rng: np.random.Generator, panorama: Picture, size_px: int) -> Picture:
    """A perspective view into an equirectangular panorama, near the horizon, mirrored half of the time."""
    height, width = panorama.shape[:2]
    focal = size_px / 2 / np.tan(np.radians(rng.uniform(75, 110)) / 2)
    pitch = np.radians(rng.normal(4, 9))
    rows, columns = f.grid(size_px, size_px)
    x, y = columns - size_px / 2, rows - size_px / 2
    up = -y * np.cos(pitch) + focal * np.sin(pitch)
    ahead = focal * np.cos(pitch) + y * np.sin(pitch)
    longitude = np.arctan2(x, ahead) / (2 * np.pi) + rng.random()
    latitude = np.arctan2(up, np.hypot(x, ahead)) / np.pi
    padded = cv2.copyMakeBorder(panorama, 0, 0, 0, 2, cv2.BORDER_WRAP)
    view = cv2.remap(
        padded,
        ((longitude % 1) * width).astype(np.float32),
        ((0.5 - latitude) * (height - 1)).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.ascontiguousarray(view[:, ::-1] if rng.random() < 0.5 else view)


def jitter(rng: np.random.Generator, picture: Picture) -> Picture:
    """Another exposure, white balance, contrast and saturation of the same picture, half of the time."""
    if rng.random() < 0.5:
        return picture
    values = 255 * (picture.astype(np.float32) / 255) ** rng.uniform(0.72, 1.4)
    values *= rng.uniform(0.86, 1.14, 3).astype(np.float32)
    values = (values - 128) * rng.uniform(0.82, 1.18) + 128 + rng.uniform(-14, 14)
    changed = f.to_picture(values)
    return f.saturate(changed, rng.uniform(0.55, 1.45)) if rng.random() < 0.4 else changed


def place(rng: np.random.Generator, background: Picture, drawing: Picture, share: float) -> Picture:
    """Draw an RGBA drawing, ``share`` of the picture tall or wide, with a soft shadow, more often low than
    high.
    """
    size_px = background.shape[0]
    scale = share * size_px / max(drawing.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    cut = cv2.resize(drawing, None, fx=scale, fy=scale, interpolation=how)
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    height, width = min(cut.shape[0], size_px), min(cut.shape[1], size_px)
    top = int((size_px - height) * rng.beta(3, 1.5))
    left = int(rng.integers(0, size_px - width + 1))
    layer = np.zeros((size_px, size_px, 4), np.float32)
    layer[top : top + height, left : left + width] = cut[:height, :width]
    alpha = layer[..., 3] / 255
    shadow = np.roll(f.blur(alpha, size_px / 70), (size_px // 60, size_px // 90), (0, 1)) * 0.35
    values: Float = background * (1 - shadow[..., None])
    shade = 1 + 0.12 * f.cloud(rng, size_px, size_px, size_px / 4, 2)[..., None]
    return f.to_picture(values * (1 - alpha[..., None]) + layer[..., :3] * shade * alpha[..., None])


def backdrop(rng: np.random.Generator, size_px: int) -> Picture:
    """A plain wall or gradient with soft light, as behind a product photo."""
    top, bottom = rng.integers(50, 256, 3), rng.integers(50, 256, 3)
    down = np.linspace(0, 1, size_px, dtype=np.float32)[:, None, None]
    level = top * (1 - down) + (bottom if rng.random() < 0.5 else top) * down
    return f.to_picture(
        level + f.cloud(rng, size_px, size_px, 90, 3)[..., None] * 10 + np.zeros((size_px, size_px, 3))
    )


class SourcePictures:
    """The prepared folder of ``sources.prepare``, in memory, and random training pictures made from it."""

    def __init__(self, folder: Path) -> None:
        """Read ``folder``."""
        index = json.loads((folder / "pictures.json").read_text())
        self._photos: list[Captioned] = []
        self._paintings: list[Captioned] = []
        self._panoramas: list[Captioned] = []
        for entry in index["pictures"]:
            path = folder / entry["file"]
            if entry["kind"] == "panorama":
                self._panoramas.append(Captioned(picture=np.load(path), caption=entry["caption"]))
                continue
            pixels = np.asarray(Image.open(path).convert("RGB"))
            chosen = self._paintings if entry["kind"] == "painting" else self._photos
            chosen.append(Captioned(picture=pixels, caption=entry["caption"]))
        with np.load(folder / "drawings.npz") as arrays:
            pictures = [arrays[name] for name in sorted(arrays.files)]
        self._drawings = [
            Captioned(picture=p, caption=c) for p, c in zip(pictures, index["drawings"], strict=True)
        ]

    def photo(self, rng: np.random.Generator, size_px: int) -> Captioned:
        """A random crop of a photo, a view into a panorama, or (rarely) a crop of a painting."""
        draw = rng.random()
        if draw < 0.22:
            view = self._panoramas[int(rng.integers(len(self._panoramas)))]
            return Captioned(picture=panorama_view(rng, view.picture, size_px), caption=view.caption)
        group = self._paintings if draw < 0.25 else self._photos
        chosen = group[int(rng.integers(len(group)))]
        crop, share = square_crop(rng, chosen.picture, size_px)
        known = share > 0.55 or rng.random() < 0.3
        return Captioned(picture=crop, caption=chosen.caption if known else "")

    def scene(self, rng: np.random.Generator, size_px: int) -> Captioned:
        """A procedural scene."""
        picture, caption = random_scene(rng, size_px)
        return Captioned(picture=picture, caption=caption)

    def object(
        self, rng: np.random.Generator, background: Captioned, share: float | None = None
    ) -> Captioned:
        """A drawing put on a background; it leads the caption."""
        drawing = self._drawings[int(rng.integers(len(self._drawings)))]
        picture = place(rng, background.picture, drawing.picture, share or rng.uniform(0.3, 0.75))
        both = background.caption and rng.random() < 0.5
        return Captioned(
            picture=picture, caption=f"{drawing.caption}, {background.caption}" if both else drawing.caption
        )

    def blended(self, rng: np.random.Generator, size_px: int) -> Captioned:
        """Two photos joined along a soft random border: new neighborhoods from few photos."""
        first, second = self.photo(rng, size_px), self.photo(rng, size_px)
        border = f.cloud(rng, size_px, size_px, size_px / 2, 3)
        weight = (1 / (1 + np.exp(-border * rng.uniform(3, 14))))[..., None]
        return Captioned(
            picture=f.to_picture(first.picture * weight + second.picture * (1 - weight)), caption=""
        )

    def sample(self, rng: np.random.Generator, size_px: int) -> Captioned:
        """One source picture: photo 45%, scene 30%, drawing on something 17%, blend 8%; then color jitter."""
        draw = rng.random()
        if draw < 0.45:
            chosen = self.photo(rng, size_px)
        elif draw < 0.75:
            chosen = self.scene(rng, size_px)
        elif draw < 0.92:
            kind = rng.random()
            if kind < 0.3:
                behind = Captioned(picture=backdrop(rng, size_px), caption="")
            else:
                behind = self.photo(rng, size_px) if kind < 0.65 else self.scene(rng, size_px)
            chosen = self.object(rng, behind)
        else:
            chosen = self.blended(rng, size_px)
        return Captioned(picture=jitter(rng, chosen.picture), caption=chosen.caption)
