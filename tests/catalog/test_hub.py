from pathlib import Path

import pytest

from underpaint.catalog import ModelFiles
from underpaint.catalog.hub import REDUX, cached_file, cached_folder, is_available_offline, weights_file

from .test_image_encoders import write_encoder_folder
from .weights import write_folder, write_safetensors

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, where huggingface_hub looks."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def cache(hub_cache: Path, repository: str, branch: str = "main") -> Path:
    """A whole download of a small Stable Diffusion model, in the layout of huggingface_hub's cache."""
    storage = hub_cache / f"models--{repository.replace('/', '--')}"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / branch).write_text(COMMIT)
    return write_folder(storage / "snapshots" / COMMIT)


def hub(repository: str = "someone/a-model", revision: str | None = None) -> ModelFiles:
    return ModelFiles(form="hub", location=repository, revision=revision)


def test_a_downloaded_repository_is_available(hub_cache: Path) -> None:
    folder = cache(hub_cache, "someone/a-model")
    assert cached_folder(hub()) == folder
    assert is_available_offline(hub(), "checkpoint")


def test_another_repository_or_revision_is_not(hub_cache: Path) -> None:
    cache(hub_cache, "someone/a-model")
    assert not is_available_offline(hub("someone/else"), "checkpoint")
    assert not is_available_offline(hub(revision="v2"), "checkpoint")
    assert is_available_offline(hub(revision=COMMIT), "checkpoint")


def test_half_of_a_download_does_not_count(hub_cache: Path) -> None:
    folder = cache(hub_cache, "someone/a-model")
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    assert not is_available_offline(hub(), "checkpoint")


def test_an_impossible_repository_is_not_available(hub_cache: Path) -> None:
    assert not is_available_offline(hub("../../etc"), "checkpoint")


def test_a_lora_is_one_file_of_its_repository(hub_cache: Path) -> None:
    storage = hub_cache / "models--someone--a-lora"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    file = write_safetensors(
        storage / "snapshots" / COMMIT / "style.safetensors", {"a.lora_A.weight": (1, 1)}
    )
    files = hub("someone/a-lora")
    assert cached_file(files, "lora") == file
    assert is_available_offline(files, "lora")
    assert not is_available_offline(files, "checkpoint")
    assert not is_available_offline(hub("someone/else"), "lora")


def test_redux_is_there_once_its_image_encoder_is(hub_cache: Path) -> None:
    storage = hub_cache / "models--black-forest-labs--FLUX.1-Redux-dev"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    folder = storage / "snapshots" / COMMIT
    file = write_safetensors(folder / REDUX, {"redux_up.weight": (72, 32), "redux_down.weight": (24, 72)})
    files = hub("black-forest-labs/FLUX.1-Redux-dev")
    assert not is_available_offline(files, "ipadapter")
    write_encoder_folder(folder / "image_encoder", layer_width=32)
    assert cached_file(files, "ipadapter") == file
    (folder / "image_encoder" / "model.safetensors").unlink()
    assert not is_available_offline(files, "ipadapter")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["README.md", "style.safetensors"], "style.safetensors"),
        (["a.safetensors", "pytorch_lora_weights.safetensors"], "pytorch_lora_weights.safetensors"),
        (["unet/a.safetensors", "b.safetensors"], "b.safetensors"),
        (["a.safetensors", "b.safetensors"], None),
        (["style.bin"], None),
    ],
)
def test_which_file_is_meant_is_told_or_not_guessed(names: list[str], chosen: str | None) -> None:
    assert weights_file(names) == chosen
