"""The held-out photos: what the model is judged on and must never be trained on."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from training.archives import Archive
from training.fields import Picture
from training.manifest import PACKAGES, Package
from training.sources import fetch

JUDGING_PACKAGES: dict[str, Package] = {
    "skimage": PACKAGES["skimage"],
    "sklearn": Package(
        registry="pypi",
        name="scikit-learn",
        version="1.7.0",
        file="scikit_learn-1.7.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        sha256="9dbe48d69aa38ecfc5a6cda6c5df5abef0c0ebdb2468e92437e2053f84abb8bc",
    ),
    "lomiri-16": Package(
        registry="debian",
        name="lomiri-wallpapers-16.04",
        version="20.04.0-2",
        file="lomiri-wallpapers-16.04_20.04.0-2_all.deb",
        sha256="a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    ),
    "lomiri-20": Package(
        registry="debian",
        name="lomiri-wallpapers-20.04",
        version="20.04.0-2",
        file="lomiri-wallpapers-20.04_20.04.0-2_all.deb",
        sha256="d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
    ),
}

WALLPAPERS = "usr/share/backgrounds"

JUDGED_PHOTOS: tuple[tuple[str, str, str, tuple[float, float, float]], ...] = (
    ("temple", "sklearn", "sklearn/datasets/images/china.jpg", (0.5, 0.5, 1)),
    ("flower", "sklearn", "sklearn/datasets/images/flower.jpg", (0.5, 0.5, 1)),
    ("astronaut", "skimage", "skimage/data/astronaut.png", (0.5, 0.5, 1)),
    ("cat", "skimage", "skimage/data/chelsea.png", (0.5, 0.5, 1)),
    ("coffee", "skimage", "skimage/data/coffee.png", (0.5, 0.5, 1)),
    ("rocket", "skimage", "skimage/data/rocket.jpg", (0.5, 0.5, 1)),
    ("face", "skimage", "skimage/data/astronaut.png", (0.42, 0.0, 0.5)),
    ("roofs", "sklearn", "sklearn/datasets/images/china.jpg", (0.1, 0.7, 0.55)),
    ("bridge", "lomiri-16", f"{WALLPAPERS}/Bridge_by_Sander_Klootwijk.jpg", (0.5, 0.5, 1)),
    ("dragonfly", "lomiri-16", f"{WALLPAPERS}/Dragonfly_by_Bolly.jpg", (0.5, 0.5, 1)),
    ("wine", "lomiri-16", f"{WALLPAPERS}/Wine_by_Jakkub_Mede.jpg", (0.5, 0.5, 1)),
    ("autumn hills", "lomiri-16", f"{WALLPAPERS}/aitzgorri_by_Aitzol_Berasategi.jpg", (0.5, 0.5, 1)),
    ("dogs", "lomiri-16", f"{WALLPAPERS}/friends_by_Aitzol_Berasategi.jpg", (0.5, 0.5, 1)),
    ("clock", "lomiri-16", f"{WALLPAPERS}/greentock_by_Peter_Nerlich.jpg", (0.5, 0.5, 1)),
    ("river", "lomiri-16", f"{WALLPAPERS}/life_by_Aitzol_Berasategi.jpg", (0.5, 0.5, 1)),
    ("mountains", "lomiri-16", f"{WALLPAPERS}/picosdeeuropa_by_Aitzol_Berasategi.jpg", (0.5, 0.5, 1)),
    ("dandelions", "lomiri-16", f"{WALLPAPERS}/seeding_by_Clements_Engelhardt.jpg", (0.5, 0.5, 1)),
    ("sunset", "lomiri-16", f"{WALLPAPERS}/sunset_by_Aitzol_Berasategi.jpg", (0.5, 0.5, 1)),
    ("ball", "lomiri-16", f"{WALLPAPERS}/free_by_Peter_Nerlich.jpg", (0.5, 0.5, 1)),
    ("bird", "lomiri-20", f"{WALLPAPERS}/Kleiber_by_Lukas_Baubkus.jpg", (0.5, 0.5, 1)),
)
"""Name, package, path, and the square that is cut out: where it lies across and down (0..1) and its share
of the short side.
"""


def cut_square(image: Image.Image, across: float, down: float, share: float, size_px: int) -> Picture:
    """A square of ``share`` of the short side, ``across`` and ``down`` of the way, resized to ``size_px``."""
    side = round(min(image.size) * share)
    left, top = round((image.width - side) * across), round((image.height - side) * down)
    square = image.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size_px, size_px), Image.Resampling.LANCZOS))


def judged_photos(downloads: Path, size_px: int) -> dict[str, Picture]:
    """The held-out photos by name, ``size_px`` square, fetched where they are not there yet."""
    archives: dict[str, Archive] = {}
    photos = {}
    for name, package, path, square in JUDGED_PHOTOS:
        if package not in archives:
            archives[package] = Archive(fetch(JUDGING_PACKAGES[package], downloads))
        image = Image.open(io.BytesIO(archives[package].read(path)))
        photos[name] = cut_square(image, *square, size_px)
    return photos
