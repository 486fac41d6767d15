import numpy as np

from training.fields import Picture
from training.measures import (
    STYLE_PROMPTS,
    amount_of,
    clipped_share,
    edge_agreement,
    median_seconds,
    open_pairs,
    share_moved,
    share_of_way,
)
from training.styles import PROMISED_STYLES


def test_edges_agree_with_themselves_and_not_with_another_scene(photo: Picture) -> None:
    noise = np.random.default_rng(1).integers(0, 256, photo.shape).astype(np.uint8)
    brighter = np.clip(photo.astype(int) + 25, 0, 255).astype(np.uint8)
    assert edge_agreement(photo, photo) > 0.999
    assert edge_agreement(photo, brighter) > 0.9
    assert abs(edge_agreement(photo, noise)) < 0.3
    assert edge_agreement(photo, np.zeros_like(photo)) == 0


def test_color_amounts_and_clipping() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert amount_of("red", red) > 200
    assert amount_of("blue", red) < 0
    assert clipped_share(red) == 1
    assert clipped_share(np.full((8, 8, 3), 128, np.uint8)) == 0


def test_the_share_of_pairs_that_fell() -> None:
    assert share_moved([(1.0, 0.5), (1.0, 1.5), (2.0, 0.0), (0.0, 0.0)]) == 0.5


def test_the_median_leaves_out_the_warm_up() -> None:
    ticks = iter([0.0, 1.0, 10.0, 13.0, 20.0, 22.0])
    calls: list[int] = []
    assert median_seconds(lambda: calls.append(1), 3, lambda: next(ticks)) == 2.0
    assert len(calls) == 4


def test_every_promised_style_has_a_prompt() -> None:
    assert tuple(STYLE_PROMPTS) == PROMISED_STYLES


def test_the_way_from_the_photo_to_a_picture(photo: Picture) -> None:
    end = 255 - photo
    half = (photo.astype(float) * 0.5 + end.astype(float) * 0.5).astype(np.uint8)
    assert share_of_way(photo, photo, end) == 0
    assert abs(share_of_way(photo, half, end) - 0.5) < 0.02
    assert abs(share_of_way(photo, end, end) - 1) < 1e-5
    assert share_of_way(photo, half, photo) == 0


def test_pairs_that_are_certain_both_times_are_ties() -> None:
    assert open_pairs([(-3.9, -4.1), (-4.1, -3.9), (-2.0, -4.0), (-4.0, 1.0)]) == [(-2.0, -4.0), (-4.0, 1.0)]
