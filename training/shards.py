"""Rendered training pictures, kept on disk in shards so that an epoch costs no rendering.

A shard holds records; a record is one source picture and its renditions in styles, weather and colors, each
with a caption. All are ``SIZE_PX`` square. ``pictures.npy`` is uint8 ``(n, SIZE_PX, SIZE_PX, 3)``;
``records.json`` holds the captions and, for each record, the indices of its pictures, the source first.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.captions import (
    COLOR_PHRASES,
    WEATHER_PHRASES,
    color_caption,
    one_of,
    plain_caption,
    style_caption,
    weather_caption,
)
from training.fields import Picture
from training.pictures import Captioned, SourcePictures
from training.styles import STYLE_WEIGHTS, STYLES
from training.weather import COLORS, WEATHER, WEATHER_WEIGHTS

SIZE_PX = 256
RENDITIONS = 3

PAINTED = ("watercolor", "oil", "impressionist", "pixel_art", "comic", "ukiyo_e", "stained_glass", "pop_art")
"""Styles that keep color, so that weather or color still shows through them."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Pictures, their captions, and which of them belong together."""

    pictures: NDArray[np.uint8]
    captions: list[str]
    records: list[list[int]]


def weighted(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """A key drawn in proportion to its weight."""
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def rendition(rng: np.random.Generator, pictures: SourcePictures, source: Captioned) -> Captioned:
    """The source in a style (60%), weather (20%), both (9%), a color (4%), style and color (3%), or with an
    object (4%).
    """
    draw = rng.random()
    picture, content = source.picture, source.caption
    if draw < 0.60:
        style = weighted(rng, STYLE_WEIGHTS)
        return Captioned(picture=STYLES[style](rng, picture), caption=style_caption(rng, content, style))
    if draw < 0.80:
        weather = weighted(rng, WEATHER_WEIGHTS)
        return Captioned(
            picture=WEATHER[weather](rng, picture), caption=weather_caption(rng, content, weather)
        )
    if draw < 0.84:
        color = one_of(rng, tuple(COLORS))
        return Captioned(picture=COLORS[color](rng, picture), caption=color_caption(rng, content, color))
    if draw < 0.96:
        style = weighted(rng, {name: STYLE_WEIGHTS[name] for name in PAINTED})
        if draw < 0.93:
            weather = weighted(rng, WEATHER_WEIGHTS)
            changed, modifier = WEATHER[weather](rng, picture), one_of(rng, WEATHER_PHRASES[weather])
        else:
            color = one_of(rng, tuple(COLORS))
            changed, modifier = COLORS[color](rng, picture), one_of(rng, COLOR_PHRASES[color])
        return Captioned(
            picture=STYLES[style](rng, changed), caption=style_caption(rng, content, style, modifier)
        )
    return pictures.object(rng, source, rng.uniform(0.45, 0.85))


def render_shard(rng: np.random.Generator, pictures: SourcePictures, records: int) -> Shard:
    """Render ``records`` new records."""
    rendered: list[Picture] = []
    captions: list[str] = []
    groups: list[list[int]] = []
    for _ in range(records):
        source = pictures.sample(rng, SIZE_PX)
        group = [
            Captioned(picture=source.picture, caption=plain_caption(rng, source.caption)),
            *(rendition(rng, pictures, source) for _ in range(RENDITIONS)),
        ]
        groups.append(list(range(len(rendered), len(rendered) + len(group))))
        rendered.extend(one.picture for one in group)
        captions.extend(one.caption for one in group)
    return Shard(pictures=np.stack(rendered), captions=captions, records=groups)


def save_shard(shard: Shard, folder: Path) -> None:
    """Write a shard; ``records.json`` comes last and marks it complete."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "pictures.npy", shard.pictures)
    (folder / "records.json").write_text(json.dumps({"captions": shard.captions, "records": shard.records}))


def load_index(folder: Path) -> tuple[list[str], list[list[int]]]:
    """Captions and records of a shard."""
    index = json.loads((folder / "records.json").read_text())
    return index["captions"], index["records"]


def load_shard(folder: Path) -> Shard:
    """Open a shard; its pictures stay on disk (memory-mapped)."""
    captions, records = load_index(folder)
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    return Shard(pictures=pictures, captions=captions, records=records)


def complete_shards(folder: Path) -> list[Path]:
    """Folders of finished shards, oldest first."""
    return sorted(marker.parent for marker in folder.glob("*/records.json"))


def has_pictures(folder: Path) -> bool:
    """Whether a shard still holds its pictures, or only their latents."""
    return (folder / "pictures.npy").exists()


def ensure_shards(folder: Path, pictures: SourcePictures, count: int, records: int) -> None:
    """Render until ``count`` shards have ever been made; shard ``k`` is seeded with ``k``."""
    made = [int(path.name) for path in complete_shards(folder)]
    for number in range(max(made, default=-1) + 1, count):
        save_shard(render_shard(np.random.default_rng(number), pictures, records), folder / f"{number:05}")
        print(f"rendered shard {number + 1} of {count}", flush=True)
