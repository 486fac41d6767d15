from dataclasses import replace
from pathlib import Path

import pytest

from underpaint.catalog import Catalog, CatalogError, ModelNotInstalled
from underpaint.catalog.additions import additional_model
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.embedded_entry import EMBEDDED
from underpaint.settings import Settings

from .weights import Shapes, write_safetensors

WIDTHS = {"sd1x": 768, "sd2x": 1024, "sdxl": 2048}


def lora_shapes(architecture: str = "sd1x") -> Shapes:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    return {
        f"{name}.lora_down.weight": (4, WIDTHS[architecture]),
        f"{name}.lora_up.weight": (320, 4),
    }


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(Settings(data_dir=tmp_path), {EMBEDDED.architecture: {"base"}})


def install(catalog: Catalog, file: Path, air: str = "test:1@1") -> Path:
    catalog.installed.add(describe(NewModel(air=air, source=str(file))))
    return file


def test_a_lora_of_the_models_family_is_found_with_its_file(catalog: Catalog, tmp_path: Path) -> None:
    file = install(catalog, write_safetensors(tmp_path / "style.safetensors", lora_shapes()))
    entry, location = additional_model(catalog, "test:1@1", "lora", checkpoint=EMBEDDED)
    assert (entry.air, location) == ("test:1@1", file)


def test_one_that_is_not_here_says_how_it_gets_here(catalog: Catalog) -> None:
    with pytest.raises(ModelNotInstalled, match="underpaint models add"):
        additional_model(catalog, "civitai:82098@87153", "lora", checkpoint=EMBEDDED)


def test_one_for_another_architecture_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    install(catalog, write_safetensors(tmp_path / "style.safetensors", lora_shapes("sdxl")))
    with pytest.raises(CatalogError, match=r"is for sdxl, and underpaint:1@2 .* is sd1x"):
        additional_model(catalog, "test:1@1", "lora", checkpoint=EMBEDDED)


def test_one_for_a_single_checkpoint_is_refused_with_others(catalog: Catalog, tmp_path: Path) -> None:
    file = write_safetensors(tmp_path / "style.safetensors", lora_shapes())
    said = describe(NewModel(air="test:1@1", source=str(file)))
    catalog.installed.add(replace(said, only_for=EMBEDDED.air))
    assert additional_model(catalog, "test:1@1", "lora", checkpoint=EMBEDDED)[1] == file
    other = replace(EMBEDDED, air="mine:1@1", name="Mine")
    with pytest.raises(CatalogError, match=r"fits underpaint:1@2 alone, and not mine:1@1 \(Mine\)"):
        additional_model(catalog, "test:1@1", "lora", checkpoint=other)


def test_a_checkpoint_is_no_lora(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match="is a checkpoint, not a lora"):
        additional_model(catalog, EMBEDDED.air, "lora", checkpoint=EMBEDDED)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a safetensors file"),
        (b"PK\x03\x04" + b"x" * 100, "a pickle"),
        ("cut short", "not a complete safetensors file"),
        ("another kind", "its file holds no lora"),
        ("dora", "is no plain LoRA, but DoRA"),
    ],
)
def test_a_file_that_is_broken_by_now_is_refused_and_not_named(
    catalog: Catalog, tmp_path: Path, content: bytes | str, said: str
) -> None:
    file = install(catalog, write_safetensors(tmp_path / "style.safetensors", lora_shapes()))
    match content:
        case bytes():
            file.write_bytes(content)
        case "cut short":
            file.write_bytes(file.read_bytes()[:-4])
        case "another kind":
            write_safetensors(file, {"emb_params": (4, 768)})
        case _:
            write_safetensors(file, {**lora_shapes(), "lora_unet_a.dora_scale": (4,)})
    with pytest.raises(CatalogError, match=said) as caught:
        additional_model(catalog, "test:1@1", "lora", checkpoint=EMBEDDED)
    assert str(tmp_path) not in str(caught.value)
