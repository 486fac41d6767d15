from pathlib import Path

import numpy as np
import pytest
import torch

from training.autoencoder import build_autoencoder
from training.latents import LatentSet, drop_pictures, encode_shards, encoded_shards
from training.pictures import SourcePictures
from training.shards import complete_shards, ensure_shards, has_pictures, load_index


@pytest.fixture
def shards(source_folder: Path, tmp_path: Path) -> Path:
    ensure_shards(tmp_path, SourcePictures(source_folder), 2, 1)
    return tmp_path


def lengths(captions: list[str]) -> list[list[int]]:
    return [[len(caption)] for caption in captions]


def test_records_of_all_shards_come_together(shards: Path) -> None:
    encode_shards(build_autoencoder(8).eval(), shards, 2, torch.device("cpu"))
    folders = complete_shards(shards)
    data = LatentSet(folders, lengths)
    assert data.records == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert data.latents.shape == (8, 12, 32, 32)
    second = load_index(folders[1])[0]
    assert data.ids[4:, 0].tolist() == [len(caption) for caption in second]
    assert np.array_equal(data.latents[4:].numpy(), np.load(folders[1] / "latents.npy"))


def test_pictures_are_dropped_only_once_they_are_encoded(shards: Path) -> None:
    first, second = complete_shards(shards)
    drop_pictures(first)
    assert has_pictures(first)
    model = build_autoencoder(8).eval()
    encode_shards(model, shards, 1, torch.device("cpu"))
    drop_pictures(first)
    assert not has_pictures(first)
    assert has_pictures(second)
    assert encoded_shards(shards) == [first]
    encode_shards(model, shards, 9, torch.device("cpu"))
    assert encoded_shards(shards) == [first, second]
