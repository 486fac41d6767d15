from pathlib import Path

import pytest

from underpaint.catalog import Catalog
from underpaint.catalog.contents import contents_of
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safetensors_header import read_header
from underpaint.catalog.search import SearchQuery
from underpaint.settings import Settings

from .weights import Shapes, write_json, write_safetensors

WIDTHS = {"sd1x": 768, "sd2x": 1024, "sdxl": 2048}


def controlnet_shapes(architecture: str = "sd1x") -> Shapes:
    """The telling tensors of a published ControlNet, under diffusers' names."""
    return {
        "conv_in.weight": (8, 4, 3, 3),
        "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (8, WIDTHS[architecture]),
    }


def write_controlnet_folder(
    folder: Path,
    architecture: str = "sd1x",
    *,
    class_name: str = "ControlNetModel",
    name: str = "diffusion_pytorch_model.safetensors",
) -> Path:
    write_json(folder / "config.json", {"_class_name": class_name})
    write_safetensors(folder / name, controlnet_shapes(architecture))
    return folder


@pytest.mark.parametrize("architecture", [*WIDTHS])
@pytest.mark.parametrize(
    "name", ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"]
)
def test_a_folder_is_told_by_its_configuration_and_its_weights(
    tmp_path: Path, architecture: str, name: str
) -> None:
    folder = write_controlnet_folder(tmp_path / "canny", architecture, name=name)
    entry = describe(NewModel(air="test:1@1", source=str(folder), conditioning="canny"))
    assert (entry.category, entry.architecture, entry.conditioning) == ("controlnet", architecture, "canny")
    assert entry.files is not None
    assert (entry.files.form, entry.files.location, entry.name) == ("folder", str(folder), "canny")


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    union = write_controlnet_folder(tmp_path / "union", class_name="ControlNetUnionModel")
    pickled = write_controlnet_folder(tmp_path / "pickled", name="a.bin")
    damaged = write_controlnet_folder(tmp_path / "damaged")
    [file] = damaged.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-2])
    other = write_controlnet_folder(tmp_path / "other")
    write_safetensors(other / "diffusion_pytorch_model.safetensors", {"conv_in.weight": (2, 2)})
    for folder, reason in {
        union: "ControlNetUnionModel",
        pickled: "pickle",
        damaged: "damaged",
        other: "no such tensors",
    }.items():
        with pytest.raises(ModelRefused, match=reason):
            describe(NewModel(air="test:1@1", source=str(folder)))
    with pytest.raises(ModelRefused, match="holds a controlnet"):
        describe(
            NewModel(
                air="test:1@1", source=str(write_controlnet_folder(tmp_path / "good")), category="checkpoint"
            )
        )


def test_only_those_of_families_that_take_them_can_be_used_and_are_found(tmp_path: Path) -> None:
    catalog = Catalog(Settings(data_dir=tmp_path), runnable={"sd1x": {"base"}})
    for_flux = write_safetensors(
        tmp_path / "flux.safetensors",
        {"controlnet_x_embedder.weight": (2, 2), "single_transformer_blocks.0.attn.to_k.weight": (2, 2)},
    )
    sources = {"test:1@1": write_controlnet_folder(tmp_path / "canny"), "test:2@1": for_flux}
    for air, source in sources.items():
        catalog.installed.add(describe(NewModel(air=air, source=str(source), architecture=None)))
    usable, refused = (catalog.installed.entries()[air] for air in sources)
    assert catalog.problem(usable) is None
    assert "a ControlNet for flux1d" in str(catalog.problem(refused))
    assert catalog.search(SearchQuery(category="controlnet")) == (1, (usable,))


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [
        ({"lllite_unet_input_blocks_1.conditioning1.0.weight": (2, 2)}, "LLLite"),
        ({"lora_controlnet": (0,), "input_hint_block.0.weight": (2, 2)}, "Control-LoRA"),
        ({"difference": (0,), "control_model.zero_convs.0.0.weight": (2, 2)}, "added to the weights"),
        ({**controlnet_shapes(), "control_add_embedding.linear_1.weight": (2, 2)}, "several kinds"),
        ({"adapter.conv_in.weight": (2, 2)}, "T2I-Adapter"),
    ],
)
def test_other_networks_that_take_maps_are_refused_by_name(tmp_path: Path, shapes: Shapes, kind: str) -> None:
    file = write_safetensors(tmp_path / "a.safetensors", shapes)
    with pytest.raises(ModelRefused, match=kind):
        contents_of(read_header(file).tensors)
    with pytest.raises(ModelRefused, match="this version cannot use"):
        describe(NewModel(air="test:1@1", source=str(file)))
