"""How many transformers a UNet has, told without loading it."""

import json
from pathlib import Path
from typing import Any

import pytest

from underpaint.catalog.entry import Form, ModelEntry, ModelFiles
from underpaint.catalog.unets import cross_attention_transformers

SD1: dict[str, Any] = {
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "layers_per_block": 2,
}
SDXL: dict[str, Any] = {
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
}


def entry(form: Form, location: Path, architecture: str = "sd1x") -> ModelEntry:
    files = ModelFiles(form=form, location=str(location))
    return ModelEntry(air="a:1@1", name="a", version="1", architecture=architecture, files=files)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (SD1, 16),
        (SDXL, 11),
        ({**SDXL, "mid_block_type": None}, 10),
        ({**SD1, "layers_per_block": [1, 2, 3, 4]}, 1 + 2 + 3 + 1 + 4 + 3 + 2),
        ({**SD1, "layers_per_block": [1]}, None),
        ({**SD1, "up_block_types": []}, None),
        ({}, None),
    ],
)
def test_a_configuration_is_counted(tmp_path: Path, config: dict[str, Any], count: int | None) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps(config))
    assert cross_attention_transformers(entry("folder", tmp_path)) == count


def test_it_is_what_a_loaded_unet_has(sd1_checkpoint: Path, sdxl_checkpoint: Path) -> None:
    from diffusers import UNet2DConditionModel

    for folder in (sd1_checkpoint, sdxl_checkpoint):
        unet = UNet2DConditionModel.from_pretrained(folder / "unet")
        found = {
            name.partition(".transformer_blocks.")[0]
            for name in unet.attn_processors
            if name.endswith("attn2.processor")
        }
        assert cross_attention_transformers(entry("folder", folder)) == len(found)


def test_single_files_are_laid_out_as_their_architecture_is(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    assert cross_attention_transformers(entry("file", file)) == 16
    assert cross_attention_transformers(entry("file", file, "sdxl")) == 11
    assert cross_attention_transformers(entry("file", file, "flux1d")) is None


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert cross_attention_transformers(entry("folder", tmp_path)) is None
    assert cross_attention_transformers(entry("hub", Path("nobody/nothing"))) is None
