import json
from pathlib import Path
from typing import Literal

import pytest

from underpaint.catalog import ModelEntry, ModelNotInstalled
from underpaint.catalog.contents import Contents, contents_of
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.errors import ModelNotRunnable, ModelRefused
from underpaint.catalog.image_encoders import image_encoder_of
from underpaint.catalog.safetensors_header import read_header

from .weights import Shapes, write_safetensors

WIDTHS = {"sd1x": 768, "sd2x": 1024, "sdxl": 2048}
Kind = Literal["plain", "plus", "full", "face"]


def adapter_shapes(
    *, kind: Kind = "plain", architecture: str = "sd1x", encoded_width: int = 1024, layer_width: int = 1280
) -> Shapes:
    """The telling tensors of a published adapter; those that ViT-H made, unless it is said otherwise."""
    width = WIDTHS[architecture]
    projections: dict[Kind, Shapes] = {
        "plain": {"image_proj.proj.weight": (4 * width, encoded_width), "image_proj.norm.weight": (width,)},
        "plus": {"image_proj.proj_in.weight": (8, layer_width), "image_proj.latents": (1, 16, 8)},
        "full": {
            "image_proj.proj.0.weight": (layer_width, layer_width),
            "image_proj.proj.3.weight": (width,),
        },
        "face": {"image_proj.proj.0.weight": (8, 512), "image_proj.norm.weight": (width,)},
    }
    keys = {f"ip_adapter.{number}.to_{part}_ip.weight": (8, width) for number in (1, 3) for part in "kv"}
    return {**projections[kind], **keys}


def write_encoder_folder(folder: Path, *, encoded_width: int = 1024, layer_width: int = 1280) -> Path:
    """What an image encoder's folder says of it, with weights that are none."""
    write_safetensors(folder / "model.safetensors", {"visual_projection.weight": (2, 2)})
    config = {"hidden_size": layer_width, "projection_dim": encoded_width}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def installed(file: Path, *, config: Path | None = None, **shapes: object) -> tuple[ModelEntry, Path]:
    write_safetensors(file, adapter_shapes(**shapes))  # type: ignore[arg-type]
    said = None if config is None else str(config)
    return describe(NewModel(air="test:1@1", source=str(file), config=said)), file


@pytest.mark.parametrize("kind", ["plain", "plus", "full"])
@pytest.mark.parametrize("architecture", ["sd1x", "sd2x", "sdxl"])
def test_an_adapters_architecture_is_read_from_its_header(
    tmp_path: Path, kind: Kind, architecture: str
) -> None:
    file = write_safetensors(tmp_path / "a.safetensors", adapter_shapes(kind=kind, architecture=architecture))
    assert contents_of(read_header(file).tensors) == Contents(category="ipadapter", architecture=architecture)
    entry = describe(NewModel(air="test:1@1", source=str(file)))
    assert (entry.category, entry.architecture) == ("ipadapter", architecture)


@pytest.mark.parametrize("kind", ["plain", "plus", "full"])
def test_of_several_encoders_the_one_of_the_right_width_is_found(tmp_path: Path, kind: Kind) -> None:
    """As the published repository has them: one for each half of the adapters, some of which use the other's."""
    vit_h = write_encoder_folder(tmp_path / "models" / "image_encoder")
    vit_g = write_encoder_folder(
        tmp_path / "sdxl_models" / "image_encoder", encoded_width=1280, layer_width=1664
    )
    for folder in ("models", "sdxl_models"):
        assert image_encoder_of(*installed(tmp_path / folder / "h.safetensors", kind=kind)) == vit_h
        wide = installed(tmp_path / folder / "g.safetensors", kind=kind, encoded_width=1280, layer_width=1664)
        assert image_encoder_of(*wide) == vit_g


def test_the_encoder_that_is_named_is_the_one(tmp_path: Path) -> None:
    write_encoder_folder(tmp_path / "image_encoder")
    named = write_encoder_folder(tmp_path / "elsewhere" / "clip")
    entry, file = installed(tmp_path / "a.safetensors", config=named)
    assert image_encoder_of(entry, file) == named
    named.joinpath("config.json").write_text('{"projection_dim": 512}')
    with pytest.raises(ModelNotInstalled, match="none whose projection_dim is 1024 is named with it"):
        image_encoder_of(entry, file)


def test_what_is_named_has_to_be_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no folder of an image encoder"):
        installed(tmp_path / "a.safetensors", config=tmp_path / "missing")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelRefused, match="no safetensors weights"):
        installed(tmp_path / "a.safetensors", config=pickled)


@pytest.mark.parametrize("damage", ["missing", "not json", "a list", "no weights"])
def test_without_one_the_error_says_what_to_do_and_names_no_path(tmp_path: Path, damage: str) -> None:
    folder = write_encoder_folder(tmp_path / "models" / "image_encoder")
    match damage:
        case "missing":
            folder.rename(folder.with_name("another_name"))
        case "not json":
            (folder / "config.json").write_text("{")
        case "a list":
            (folder / "config.json").write_text("[]")
        case _:
            (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotInstalled, match="models add test:1@1 FILE --config FOLDER") as caught:
        image_encoder_of(*installed(tmp_path / "models" / "a.safetensors"))
    assert str(tmp_path) not in str(caught.value)


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    entry, file = installed(tmp_path / "a.safetensors")
    write_safetensors(file, {"ip_adapter.1.to_k_ip.weight": (8, 768)})
    with pytest.raises(ModelNotRunnable, match="no projection of a kind that is known"):
        image_encoder_of(entry, file)
    file.write_bytes(b"")
    with pytest.raises(ModelNotRunnable, match="is not a safetensors file"):
        image_encoder_of(entry, file)


@pytest.mark.parametrize("air", ["runware:55@5", "runware:55@1"])
def test_a_repository_is_no_adapter(air: str) -> None:
    """That of the published ones holds several. Redux has one to itself (`test_download`)."""
    with pytest.raises(ModelRefused, match="which is one safetensors file"):
        describe(NewModel(air=air, source="h94/IP-Adapter"))


def test_redux_is_found_in_its_folder_with_its_encoder(tmp_path: Path) -> None:
    """As Black Forest Labs publish it: one file for other programs, and the same for diffusers."""
    encoder = write_encoder_folder(tmp_path / "redux" / "image_encoder", layer_width=1152)
    shapes = {"redux_up.weight": (12, 1152), "redux_down.weight": (4, 12)}
    inside = write_safetensors(
        tmp_path / "redux" / "image_embedder" / "diffusion_pytorch_model.safetensors", shapes
    )
    beside = write_safetensors(tmp_path / "redux" / "flux1-redux-dev.safetensors", shapes)
    for source, file in ((tmp_path / "redux", inside), (beside, beside)):
        entry = describe(NewModel(air="runware:105@1", source=str(source)))
        assert entry.files is not None
        assert (entry.category, entry.architecture) == ("ipadapter", "flux1d")
        assert entry.files.location == str(file)
        assert image_encoder_of(entry, file) == encoder
