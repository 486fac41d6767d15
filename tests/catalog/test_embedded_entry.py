import re
from pathlib import Path

import pytest

from underpaint.catalog import EMBEDDED
from underpaint.catalog.safetensors_header import read_header
from underpaint.embedded import checkpoint_dir


def test_the_embedded_checkpoint_is_small_and_holds_no_pickle() -> None:
    files = [path for path in checkpoint_dir("1@2").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert sum(path.stat().st_size for path in files) < 50e6


def test_the_model_card_gives_the_defaults_and_the_sizes_that_are_true() -> None:
    folder = checkpoint_dir("1@2")
    card = (folder / "MODEL_CARD.md").read_text()
    defaults = EMBEDDED.defaults
    assert (
        f"defaults are therefore {defaults.width_px}x{defaults.height_px}, {defaults.steps} steps, "
        f"CFGScale {defaults.guidance_scale:g}, strength {defaults.strength}" in card
    )
    for component, stated in (("unet", "11.2 M"), ("text_encoder", "3.3 M"), ("vae", "0.62 M")):
        assert float(stated.removesuffix(" M")) == pytest.approx(
            parameters(folder / component) / 1e6, rel=0.02
        )
        assert stated in card


@pytest.mark.parametrize("version", ["", "9@9", "../1@1", "1@1/unet"])
def test_other_versions_are_not_there(version: str) -> None:
    with pytest.raises(LookupError, match=re.escape(repr(version))):
        checkpoint_dir(version)


def parameters(component: Path) -> int:
    """How many numbers the weights of a component have."""
    total = 0
    for path in component.glob("*.safetensors"):
        for spec in read_header(path).tensors.values():
            count = 1
            for size in spec.shape:
                count *= size
            total += count
    return total
