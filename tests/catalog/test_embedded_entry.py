import re
from pathlib import Path

import pytest

from underpaint import embedded
from underpaint.catalog import EMBEDDED, Catalog, ModelEntry
from underpaint.catalog.additions import additional_model
from underpaint.catalog.embedded_entry import EMBEDDED_IP_ADAPTER, EMBEDDED_LORA
from underpaint.catalog.image_encoders import image_encoder_of
from underpaint.catalog.safetensors_header import read_header
from underpaint.embedded import addition_dir, checkpoint_dir
from underpaint.settings import Settings


def test_what_ships_is_small_and_holds_no_pickle() -> None:
    folder = Path(embedded.__file__).parent
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".py"}
    assert sum(path.stat().st_size for path in files) < 45e6


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


@pytest.mark.parametrize("version", ["", "lora@2", "../additions/lora-1", "ip@1/image_encoder"])
def test_other_additions_are_not_there(version: str) -> None:
    with pytest.raises(LookupError, match=re.escape(repr(version))):
        addition_dir(version)


@pytest.mark.parametrize("entry", [EMBEDDED_LORA, EMBEDDED_IP_ADAPTER], ids=lambda entry: entry.air)
def test_what_ships_for_the_embedded_model_is_found_with_a_card_that_tells_its_size(
    entry: ModelEntry, tmp_path: Path
) -> None:
    catalog = Catalog(Settings(data_dir=tmp_path), {EMBEDDED.architecture: {"base"}})
    found, file = additional_model(catalog, entry.air, entry.category, checkpoint=EMBEDDED)
    assert found is entry
    card = (file.parent / "MODEL_CARD.md").read_text()
    assert card.startswith(f"# {entry.air}\n")
    parts = [file.parent]
    if entry.category == "ipadapter":
        parts.append(image_encoder_of(entry, file))
        assert parts[1].parent == file.parent
    for part in parts:
        assert f"{parameters(part) / 1e6:.2f} M" in card


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
