"""A tiny prepared source folder, so that no test of training needs a download."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.fields import Picture, cloud, to_picture


def photo_like(seed: int, size_px: int = 160) -> Picture:
    """A picture with blue above, green below, and texture."""
    rng = np.random.default_rng(seed)
    values = np.zeros((size_px, size_px, 3), np.float32)
    values[: size_px // 2] = (80, 140, 220)
    values[size_px // 2 :] = (70, 130, 50)
    return to_picture(
        values + cloud(rng, size_px, size_px, 12, 3)[..., None] * np.array([6, 12, 4], np.float32)
    )


@pytest.fixture(scope="session")
def make_photo() -> Callable[..., Picture]:
    """Synthetic photos by seed and size."""
    return photo_like


@pytest.fixture(scope="session")
def photo() -> Picture:
    """One synthetic photo."""
    return photo_like(1)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors are slower on several threads, and the machine is shared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``sources.prepare`` leaves it: two photos, a painting, a panorama, two drawings."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "photos").mkdir()
    (folder / "panoramas").mkdir()
    pictures = []
    for number, kind in enumerate(("photo", "photo", "painting")):
        Image.fromarray(photo_like(number)).save(folder / f"photos/{number:03}.png")
        pictures.append({"file": f"photos/{number:03}.png", "caption": f"scene {number}", "kind": kind})
    panorama = np.hstack([photo_like(7, 128), photo_like(8, 128)])
    np.save(folder / "panoramas/003.npy", panorama)
    pictures.append({"file": "panoramas/003.npy", "caption": "a wide field", "kind": "panorama"})
    disc = np.zeros((40, 40, 4), np.uint8)
    rows, columns = np.mgrid[:40, :40]
    disc[np.hypot(rows - 20, columns - 20) < 18] = (250, 30, 30, 255)
    np.savez_compressed(folder / "drawings.npz", allow_pickle=False, **{"00000": disc, "00001": disc[::-1]})
    index = {"pictures": pictures, "drawings": ["a red ball", "a red disc"]}
    (folder / "pictures.json").write_text(json.dumps(index))
    return folder
