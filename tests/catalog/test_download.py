"""Downloads from a hub, which here is a folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.redux import write_redux
from underpaint.catalog import NewModel, describe, download
from underpaint.catalog.download import DownloadFailed, local_files, wanted_files
from underpaint.catalog.embedded_entry import EMBEDDED
from underpaint.catalog.entry import ModelEntry, ModelFiles
from underpaint.catalog.hub import REDUX
from underpaint.catalog.image_encoders import image_encoder_of

from .test_controlnets import write_controlnet_folder

REPOSITORY = [
    "README.md",
    "model_index.json",
    "v1-5-pruned.ckpt",
    "v1-5-pruned.safetensors",
    "safety_checker/model.safetensors",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "text_encoder/pytorch_model.bin",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
]
COMPONENTS = ["scheduler", "text_encoder", "tokenizer", "unet", "vae"]


def hub_entry() -> ModelEntry:
    return ModelEntry(
        air="huggingface:example@1",
        name="Example",
        version="1",
        architecture="sd1x",
        files=ModelFiles(form="hub", location="example/model"),
    )


def test_only_what_a_pipeline_needs_is_wanted() -> None:
    assert sorted(wanted_files(REPOSITORY, COMPONENTS)) == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], Path]:
    """Makes a folder the hub's only repository; what is fetched from it lands in the folder returned."""

    def serve(repository: Path) -> Path:
        fetched = tmp_path / "fetched"
        names = [str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()]

        def fetch(name: str) -> str:
            (fetched / name).parent.mkdir(parents=True, exist_ok=True)
            return str(shutil.copy(repository / name, fetched / name))

        def snapshot(_repo: str, *, allow_patterns: list[str], **_: Any) -> str:
            for name in set(allow_patterns) & set(names):
                fetch(name)
            return str(fetched)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda _repo, name, **_: fetch(name))
        monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda _repo, **_: names)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
        monkeypatch.setattr(download, "is_offline", lambda: False)
        monkeypatch.setattr(download, "cached_folder", lambda _files: None)
        return fetched

    return serve


def embedded_folder() -> Path:
    assert EMBEDDED.files is not None
    return Path(EMBEDDED.files.location)


def test_a_model_is_fetched_whole(hub: Callable[[Path], Path]) -> None:
    fetched = hub(embedded_folder())
    assert local_files(hub_entry()) == fetched
    assert (fetched / "unet" / "diffusion_pytorch_model.safetensors").is_file()
    assert not (fetched / "MODEL_CARD.md").exists()


def test_a_controlnet_is_fetched_with_its_configuration(
    hub: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repository = write_controlnet_folder(tmp_path / "canny")
    (repository / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    fetched = hub(repository)
    monkeypatch.setattr(download, "cached_file", lambda *_: None)
    file = local_files(replace(hub_entry(), category="controlnet"))
    assert file == fetched / "diffusion_pytorch_model.safetensors"
    assert sorted(path.name for path in fetched.iterdir()) == ["config.json", file.name]


def test_redux_is_fetched_with_its_image_encoder(
    hub: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the identifier of the hosted API and the id of its repository, as a person would add it."""
    repository = write_redux(tmp_path / "repository").parents[1]
    shutil.copy(repository / REDUX, repository / "flux1-redux-dev.safetensors")
    (repository / "image_encoder" / "pytorch_model.bin").write_bytes(b"a pickle")
    fetched = hub(repository)
    monkeypatch.setattr(download, "cached_file", lambda *_: None)

    redux = describe(NewModel(air="runware:105@1", source="black-forest-labs/FLUX.1-Redux-dev"))
    assert (redux.category, redux.architecture) == ("ipadapter", "flux1d")
    file = local_files(redux)
    assert file == fetched / REDUX
    assert image_encoder_of(redux, file) == fetched / "image_encoder"
    assert sorted(path.name for path in fetched.rglob("*") if path.is_file()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "model.safetensors",
    ]


@pytest.mark.parametrize(
    ("lost", "said"), [(REDUX, "not Redux"), ("image_encoder/model.safetensors", "lacks the image encoder")]
)
def test_a_repository_that_is_not_all_of_redux_is_refused(
    hub: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost: str, said: str
) -> None:
    repository = write_redux(tmp_path / "repository").parents[1]
    (repository / lost).unlink()
    hub(repository)
    monkeypatch.setattr(download, "cached_file", lambda *_: None)
    with pytest.raises(DownloadFailed, match=said):
        local_files(describe(NewModel(air="runware:105@1", source="black-forest-labs/FLUX.1-Redux-dev")))


def test_a_repository_of_pickles_is_refused_without_its_path(
    hub: Callable[[Path], Path], tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(embedded_folder(), repository)
    weights = repository / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    hub(repository)
    with pytest.raises(DownloadFailed, match="not usable safetensors") as refusal:
        local_files(hub_entry())
    assert str(tmp_path) not in str(refusal.value)


def test_an_unreachable_hub_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch, hub: Callable[[Path], Path]
) -> None:
    hub(embedded_folder())

    def unreachable(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("cannot reach the hub")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(DownloadFailed, match="cannot reach the hub"):
        local_files(hub_entry())


def test_nothing_is_asked_of_the_hub_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "is_offline", lambda: True)
    with pytest.raises(DownloadFailed, match="work offline"):
        local_files(hub_entry())


def test_what_is_in_the_cache_is_taken_from_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "cached_folder", lambda _files: tmp_path)
    assert local_files(hub_entry()) == tmp_path


def test_local_models_are_where_they_are() -> None:
    assert local_files(EMBEDDED) == embedded_folder()
    assert json.loads((local_files(EMBEDDED) / "model_index.json").read_text())["_class_name"]
