import numpy as np
import pytest

from training.fields import Picture
from training.styles import STYLES
from training.texture import texture_statistics


def test_statistics_are_finite_whatever_the_picture(photo: Picture) -> None:
    flat = np.full((64, 96, 3), 255, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (80, 64, 3)).astype(np.uint8)
    found = [texture_statistics(picture) for picture in (photo, flat, noise)]
    assert all(statistics.shape == found[0].shape for statistics in found)
    assert all(np.isfinite(statistics).all() and np.abs(statistics).max() < 20 for statistics in found)


def test_layout_does_not_count(photo: Picture) -> None:
    turned = photo[::-1, ::-1]
    moved = np.abs(texture_statistics(photo) - texture_statistics(turned)).mean()
    painted = STYLES["pixel_art"](np.random.default_rng(1), photo)
    changed = np.abs(texture_statistics(photo) - texture_statistics(painted)).mean()
    assert moved < 0.1 * changed


@pytest.mark.parametrize("style", ["watercolor", "oil", "impressionist", "pixel_art", "comic"])
def test_a_medium_changes_more_than_the_scene_does(style: str, photo: Picture) -> None:
    """Two renditions of one photo are nearer to each other than to the photo."""
    one, other = (texture_statistics(STYLES[style](np.random.default_rng(seed), photo)) for seed in (1, 2))
    assert np.abs(one - other).mean() < np.abs(one - texture_statistics(photo)).mean()
