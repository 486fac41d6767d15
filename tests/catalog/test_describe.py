from pathlib import Path
from typing import Any

import pytest

from underpaint.catalog import ModelDefaults, ModelFiles, ModelRefused, NewModel, describe

from .weights import sd_single_file, write_folder, write_safetensors


@pytest.fixture
def sd_file(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "photographic.safetensors", sd_single_file())


def test_a_single_file_is_described_from_its_tensors(sd_file: Path) -> None:
    entry = describe(NewModel(air="test:1@2", source=str(sd_file)))
    assert entry.files == ModelFiles(form="file", location=str(sd_file))
    assert (entry.air, entry.name, entry.version) == ("test:1@2", "photographic", "2")
    assert (entry.architecture, entry.category, entry.type) == ("sd1x", "checkpoint", "base")
    assert entry.defaults == ModelDefaults()


def test_a_folder_is_described_from_its_configuration(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my-model", cross_attention_dim=1024, in_channels=9)
    entry = describe(NewModel(air="test:1@1", source=str(folder)))
    assert entry.files == ModelFiles(form="folder", location=str(folder))
    assert (entry.name, entry.architecture, entry.type) == ("my-model", "sd2x", "inpainting")
    assert entry.defaults.width_px == 768


def test_a_relative_path_is_kept_absolute(sd_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sd_file.parent)
    entry = describe(NewModel(air="test:1@1", source=sd_file.name))
    assert entry.files == ModelFiles(form="file", location=str(sd_file))


def test_a_hub_repository_is_recorded_by_its_id(tmp_path: Path) -> None:
    entry = describe(NewModel(air="test:1@1", source="someone/a-model", revision="v2", architecture="sd1x"))
    assert entry.files == ModelFiles(form="hub", location="someone/a-model", revision="v2")
    assert (entry.name, entry.hub_id) == ("a-model", "someone/a-model")


def test_what_is_known_of_an_identifier_fills_the_gaps() -> None:
    entry = describe(NewModel(air="runware:100@1", source="black-forest-labs/FLUX.1-schnell"))
    assert (entry.name, entry.architecture, entry.license) == ("FLUX.1 [schnell]", "flux1s", "Apache-2.0")
    assert entry.defaults == ModelDefaults(width_px=1024, height_px=1024, steps=4, guidance_scale=0.0)


def test_what_is_known_of_a_repository_fills_the_gaps_under_another_identifier() -> None:
    entry = describe(NewModel(air="test:1@1", source="stable-diffusion-v1-5/stable-diffusion-v1-5"))
    assert (entry.air, entry.name, entry.architecture) == ("test:1@1", "Stable Diffusion 1.5", "sd1x")
    assert entry.defaults.guidance_scale == 7.5


def test_what_is_said_counts_before_what_is_known(sd_file: Path) -> None:
    said = NewModel(
        air="civitai:25694@143906",
        source=str(sd_file),
        name="Mine",
        version="v9",
        architecture="sd1xlcm",
        defaults={"steps": 6, "scheduler": "LCM"},
        tags=("fast",),
        comment="for tests",
        private=True,
        license="MIT",
    )
    entry = describe(said)
    assert (entry.name, entry.version, entry.architecture) == ("Mine", "v9", "sd1xlcm")
    assert (entry.tags, entry.comment, entry.private, entry.license) == (("fast",), "for tests", True, "MIT")
    assert entry.defaults == ModelDefaults(steps=6, scheduler="LCM", guidance_scale=1.0)


def test_the_long_form_of_an_identifier_is_shortened(sd_file: Path) -> None:
    assert (
        describe(NewModel(air="urn:air:sd1:checkpoint:civitai:5@6", source=str(sd_file))).air == "civitai:5@6"
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"air": "nonsense"}, "source:id@version"),
        ({"air": "underpaint:1@2"}, "part of Underpaint"),
        ({"air": "underpaint:lora@1"}, "part of Underpaint"),
        ({"air": "underpaint:ip@1"}, "part of Underpaint"),
        ({"architecture": "sdxl"}, "is said to be sdxl, but its files are sd1x"),
        ({"air": "runware:101@1"}, "known to be flux1d, but its files are sd1x.*use an alias"),
        ({"category": "lora"}, "said to be a lora, but holds a checkpoint"),
        ({"type": "inpainting"}, "of type inpainting, but holds a model of type base"),
        ({"defaults": {"steps": 0}}, "default steps is 0"),
        ({"defaults": {"strides": 1}}, "strides"),
        ({"revision": "main"}, "belongs to a hub repository"),
    ],
)
def test_what_contradicts_the_files_is_refused(sd_file: Path, said: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        describe(NewModel(**{"air": "test:1@1", "source": str(sd_file), **said}))


@pytest.mark.parametrize(
    "source",
    [
        "missing.safetensors",
        "./missing/model",
        "/missing",
        "a/b/c",
        "a/..",
        "a--b/c",
        "x" * 500,
        "a\0b/c",
    ],
)
def test_a_source_of_no_form_is_refused(source: str) -> None:
    with pytest.raises(ModelRefused, match="no folder or file here"):
        describe(NewModel(air="test:1@1", source=source, architecture="sd1x"))


def test_the_architecture_of_an_unknown_repository_must_be_said() -> None:
    with pytest.raises(ModelRefused, match="architecture of someone/a-model cannot be told; say it"):
        describe(NewModel(air="test:1@1", source="someone/a-model"))


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "odd.safetensors", sd_single_file(in_channels=8))
    with pytest.raises(ModelRefused, match=r"odd\.safetensors: the UNet takes 8 channels"):
        describe(NewModel(air="test:1@1", source=str(path)))


def test_an_unrecognized_file_is_taken_only_on_somebodys_word_and_only_if_that_can_be_true(
    tmp_path: Path,
) -> None:
    path = write_safetensors(tmp_path / "strange.safetensors", {"weight": (2, 2)})
    with pytest.raises(ModelRefused, match="say its architecture and category"):
        describe(NewModel(air="test:1@1", source=str(path)))
    with pytest.raises(ModelRefused, match="said to be a checkpoint of sdxl, but has no such tensors"):
        describe(NewModel(air="test:1@1", source=str(path), architecture="sdxl", category="checkpoint"))
    entry = describe(NewModel(air="test:1@1", source=str(path), architecture="sd1x", category="ipadapter"))
    assert (entry.category, entry.architecture) == ("ipadapter", "sd1x")


def test_a_lora_is_described_as_one(tmp_path: Path) -> None:
    path = write_safetensors(
        tmp_path / "style.safetensors", {"lora_unet_attn2_to_k.lora_down.weight": (4, 768)}
    )
    entry = describe(NewModel(air="test:1@1", source=str(path)))
    assert (entry.category, entry.architecture) == ("lora", "sd1x")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"\x80\x04\x95" + b"\xff" * 20)
    with pytest.raises(ModelRefused, match="is a pickle"):
        describe(NewModel(air="test:1@1", source=str(path)))


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02"])
def test_an_embedding_in_pt_is_refused_and_says_why(tmp_path: Path, start: bytes) -> None:
    file = tmp_path / "word.pt"
    file.write_bytes(start + b"x" * 100)
    with pytest.raises(ModelRefused, match=r"word\.pt is a pickle, which can run code .*; use a safetensors"):
        describe(NewModel(air="test:1@1", source=str(file), category="embeddings"))
