"""When a task is worked on in tiles."""

import pytest

from tests.studio.conftest import Workplace, item_of, transformation


@pytest.mark.parametrize(
    ("width", "height", "tile_px"),
    [(1024, 1024, None), (1088, 1024, 512), (2048, 2048, 512), (2048, 512, None), (640, 384, None)],
)
async def test_pictures_far_larger_than_the_models_own(
    workplace: Workplace, width: int, height: int, tile_px: int | None
) -> None:
    item_of(await workplace.perform(transformation(width=width, height=height)))
    assert workplace.engine.jobs[0].tile_px == tile_px


async def test_never_from_text(workplace: Workplace) -> None:
    item_of(await workplace.perform(transformation(seedImage=..., strength=..., width=2048, height=2048)))
    assert workplace.engine.jobs[0].tile_px is None
