from pathlib import Path

import numpy as np

from training.pictures import SourcePictures
from training.shards import RENDITIONS, complete_shards, ensure_shards, load_shard, render_shard, save_shard


def test_a_shard_survives_the_disk(source_folder: Path, tmp_path: Path) -> None:
    shard = render_shard(np.random.default_rng(1), SourcePictures(source_folder), 2)
    assert len(shard.pictures) == len(shard.captions) == 2 * (1 + RENDITIONS)
    assert shard.records == [[0, 1, 2, 3], [4, 5, 6, 7]]
    save_shard(shard, tmp_path / "00000")
    loaded = load_shard(tmp_path / "00000")
    assert np.array_equal(loaded.pictures, shard.pictures)
    assert loaded.captions == shard.captions
    assert loaded.records == shard.records


def test_rendering_goes_on_after_the_last_finished_shard(source_folder: Path, tmp_path: Path) -> None:
    pictures = SourcePictures(source_folder)
    ensure_shards(tmp_path, pictures, 1, 1)
    first = load_shard(tmp_path / "00000").captions
    (tmp_path / "00001").mkdir()
    ensure_shards(tmp_path, pictures, 2, 1)
    assert [path.name for path in complete_shards(tmp_path)] == ["00000", "00001"]
    assert load_shard(tmp_path / "00000").captions == first
    assert not np.array_equal(
        load_shard(tmp_path / "00000").pictures, load_shard(tmp_path / "00001").pictures
    )
