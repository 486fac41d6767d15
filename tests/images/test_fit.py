"""Pictures are brought to exactly the size that was asked for."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageStat

from underpaint.images import FitMode, fit_image, fit_mask


def target_with_center() -> Image.Image:
    """200 x 100: a red square of 40 in the middle of blue, with green at the left and right ends."""
    image = Image.new("RGB", (200, 100), "blue")
    draw = ImageDraw.Draw(image)
    draw.rectangle((80, 30, 119, 69), fill="red")
    draw.rectangle((0, 0, 19, 99), fill="lime")
    draw.rectangle((180, 0, 199, 99), fill="lime")
    return image


def red_extent(image: Image.Image) -> tuple[int, int]:
    """Width and height of what is mostly red."""
    box = image.getchannel("R").point(lambda value: 255 if value > 160 else 0).getbbox()
    assert box is not None
    return box[2] - box[0], box[3] - box[1]


@pytest.mark.parametrize("mode", ["stretch", "cover", "contain"])
@pytest.mark.parametrize("size", [(128, 128), (512, 64), (64, 512), (200, 100), (1, 1), (333, 777)])
def test_the_size_is_exact(mode: FitMode, size: tuple[int, int]) -> None:
    fitted = fit_image(target_with_center(), width_px=size[0], height_px=size[1], mode=mode)
    assert fitted.size == size
    assert fitted.mode == "RGB"


def test_stretch_is_the_default_and_changes_the_aspect() -> None:
    fitted = fit_image(target_with_center(), width_px=200, height_px=200)
    width, height = red_extent(fitted)
    assert abs(width - 40) <= 2
    assert abs(height - 80) <= 2
    assert fitted.getpixel((5, 5)) == (0, 255, 0)


def test_cover_keeps_the_aspect_and_cuts_both_ends_equally() -> None:
    fitted = fit_image(target_with_center(), width_px=100, height_px=100, mode="cover")
    assert red_extent(fitted) == (40, 40)
    assert fitted.getpixel((0, 50)) == fitted.getpixel((99, 50)) == (0, 0, 255)
    assert fitted.getpixel((50, 50)) == (255, 0, 0)


def test_contain_keeps_the_whole_picture_in_the_middle() -> None:
    fitted = fit_image(target_with_center(), width_px=200, height_px=200, mode="contain")
    assert fitted.crop((0, 50, 200, 150)).tobytes() == target_with_center().tobytes()


def test_contain_continues_the_picture_into_the_margins_without_a_step() -> None:
    image = Image.linear_gradient("L").convert("RGB").resize((200, 100))
    fitted = fit_image(image, width_px=200, height_px=300, mode="contain")
    for edge in (99, 199):
        inside, outside = (ImageStat.Stat(fitted.crop((0, y, 200, y + 1))).mean[0] for y in (edge, edge + 1))
        assert abs(inside - outside) < 30
    top = ImageStat.Stat(fitted.crop((0, 90, 200, 100))).mean[0]
    bottom = ImageStat.Stat(fitted.crop((0, 200, 200, 210))).mean[0]
    assert top < 60
    assert bottom > 195


def test_the_margins_of_contain_hold_no_sharp_copy() -> None:
    image = Image.effect_noise((64, 64), 100).convert("RGB")
    fitted = fit_image(image, width_px=192, height_px=64, mode="contain")
    inside = ImageStat.Stat(fitted.crop((64, 0, 128, 64))).stddev[0]
    outside = ImageStat.Stat(fitted.crop((0, 0, 48, 64))).stddev[0]
    assert outside < inside / 4


def test_an_extreme_aspect_is_contained() -> None:
    fitted = fit_image(Image.new("RGB", (5000, 1), "red"), width_px=128, height_px=2048, mode="contain")
    assert fitted.size == (128, 2048)
    assert fitted.getpixel((64, 0)) == (255, 0, 0)


def test_a_fine_pattern_becomes_grey_and_not_moire() -> None:
    stripes = Image.new("RGB", (1024, 64))
    for x in range(0, 1024, 2):
        stripes.paste((255, 255, 255), (x, 0, x + 1, 64))
    fitted = fit_image(stripes, width_px=96, height_px=64)
    low, high = fitted.convert("L").crop((4, 0, 92, 64)).getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    assert low > 110
    assert high < 145


def test_a_picture_of_the_right_size_is_not_even_copied() -> None:
    image = target_with_center()
    assert fit_image(image, width_px=200, height_px=100) is image


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="0x5"):
        fit_image(target_with_center(), width_px=0, height_px=5)
    with pytest.raises(ValueError, match="stretch, cover, contain"):
        fit_image(target_with_center(), width_px=5, height_px=5, mode="squeeze")  # type: ignore[arg-type]


def test_a_mask_of_the_right_size_is_left_as_it_is() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    fitted = fit_mask(Image.fromarray(levels).convert("RGB"), width_px=16, height_px=16)
    assert fitted.mode == "L"
    assert (np.asarray(fitted) == levels).all()


@pytest.mark.parametrize("mode", ["stretch", "cover"])
def test_black_of_a_mask_stays_black_away_from_its_edges(mode: FitMode) -> None:
    mask = Image.new("L", (200, 100), 0)
    mask.paste(255, (100, 0, 200, 100))
    fitted = np.asarray(fit_mask(mask, width_px=128, height_px=128, mode=mode))
    assert (fitted[:, :60] == 0).all()
    assert (fitted[:, 68:] == 255).all()


def test_the_margins_of_a_contained_mask_are_painted() -> None:
    fitted = np.asarray(fit_mask(Image.new("L", (200, 100), 0), width_px=128, height_px=128, mode="contain"))
    assert (fitted[32:96] == 0).all()
    assert (fitted[:32] == 255).all()
    assert (fitted[96:] == 255).all()


def test_a_mask_has_a_size_and_a_known_mode() -> None:
    with pytest.raises(ValueError, match="0x16"):
        fit_mask(Image.new("L", (8, 8)), width_px=0, height_px=16)
    with pytest.raises(ValueError, match="unknown fit mode"):
        fit_mask(Image.new("L", (8, 8)), width_px=16, height_px=16, mode="fill")  # type: ignore[arg-type]
