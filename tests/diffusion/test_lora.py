import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.loras import Layout, write_lora
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.lora import Lora, adapted, load_lora
from underpaint.diffusion.quiet import quiet_libraries

Networks = dict[str, Any]
LATENTS = torch.randn((3, 4, 8, 8), generator=torch.Generator().manual_seed(0))
PROMPTS = torch.randn((3, 77, 32), generator=torch.Generator().manual_seed(1))


def networks_of(folder: Path, *, xl: bool = False) -> Networks:
    with quiet_libraries():
        pipeline_class = diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline
        pipeline = pipeline_class.from_pretrained(folder, local_files_only=True, safety_checker=None)
    found = {name: getattr(pipeline, name, None) for name in ("unet", "text_encoder", "text_encoder_2")}
    return {name: network.eval() for name, network in found.items() if network is not None}


@pytest.fixture(scope="module")
def networks(sd1_checkpoint: Path) -> Networks:
    return networks_of(sd1_checkpoint)


def unet_with(networks: Networks, *rows: Any) -> Tensor:
    with torch.no_grad(), adapted(networks["unet"], "unet", rows):
        predicted: Tensor = networks["unet"](LATENTS, 500, PROMPTS).sample
    return predicted


@pytest.mark.parametrize("layout", ["kohya", "diffusers", "attention processors"])
def test_a_lora_is_read_in_every_layout(networks: Networks, tmp_path: Path, layout: Layout) -> None:
    kohya = load_lora(write_lora(tmp_path / "kohya.safetensors", networks, alpha=None), networks)
    other = load_lora(
        write_lora(tmp_path / "other.safetensors", networks, layout=layout, alpha=None), networks
    )

    assert other.layers.keys() == {"unet", "text_encoder"}
    assert len(other.layers["unet"]) > 40
    assert other.layers["unet"].keys() == kohya.layers["unet"].keys()
    assert torch.equal(
        unet_with(networks, [(other, 0.7)], [], []), unet_with(networks, [(kohya, 0.7)], [], [])
    )


def test_alpha_counts_by_the_rank(networks: Networks, tmp_path: Path) -> None:
    """An alpha of twice the rank is a weight of 2."""
    plain = load_lora(write_lora(tmp_path / "plain.safetensors", networks, alpha=None), networks)
    scaled = load_lora(write_lora(tmp_path / "scaled.safetensors", networks, rank=3, alpha=6.0), networks)
    torch.testing.assert_close(
        unet_with(networks, [(scaled, 0.5)], [], []), unet_with(networks, [(plain, 1.0)], [], [])
    )


@pytest.mark.parametrize(
    ("described", "factor"),
    [
        ({"unet.r": 3, "unet.lora_alpha": 6}, 2.0),
        ({"unet.r": 3, "unet.lora_alpha": 6, "unet.use_rslora": True}, 6 / 3**0.5),
        ({"unet.r": 3, "unet.lora_alpha": 3, "unet.alpha_pattern": {"to_q": 12}}, None),
    ],
)
def test_pefts_configuration_in_the_file_scales(
    networks: Networks, tmp_path: Path, described: dict[str, object], factor: float | None
) -> None:
    file = write_lora(tmp_path / "plain.safetensors", networks, layout="diffusers")
    plain = load_lora(file, networks).layers["unet"]
    save_file(load_file(file), file, metadata={"lora_adapter_metadata": json.dumps(described)})
    scaled = load_lora(file, networks).layers["unet"]

    for name, layer in scaled.items():
        expected = factor or (4.0 if name.endswith("to_q") else 1.0)
        torch.testing.assert_close(layer.up, plain[name].up * expected)


def test_rows_have_their_own(networks: Networks, tmp_path: Path) -> None:
    one, other = (
        load_lora(write_lora(tmp_path / f"{seed}.safetensors", networks, seed=seed), networks)
        for seed in (1, 2)
    )
    together = unet_with(networks, [(one, 1.0)], [(other, -0.5), (one, 0.3)], [])
    for position, loras in enumerate(([(one, 1.0)], [(one, 0.3), (other, -0.5)], [])):
        alone = unet_with(networks, loras, loras, loras)
        torch.testing.assert_close(together[position], alone[position], rtol=1e-4, atol=1e-5)
    bare = unet_with(networks, [], [], [])
    assert torch.equal(together[2], bare[2])
    assert float((together[0] - bare[0]).abs().max()) > 0.05


def test_weights_add_up(networks: Networks, tmp_path: Path) -> None:
    lora = load_lora(write_lora(tmp_path / "one.safetensors", networks), networks)
    twice, once = [(lora, 0.3), (lora, 0.4)], [(lora, 0.7)]
    torch.testing.assert_close(unet_with(networks, twice, [], []), unet_with(networks, once, [], []))
    assert torch.equal(unet_with(networks, [(lora, 0.0)], [], []), unet_with(networks, [], [], []))


def test_nothing_is_left_behind(networks: Networks, tmp_path: Path) -> None:
    lora = load_lora(write_lora(tmp_path / "one.safetensors", networks), networks)
    before = unet_with(networks, [], [], [])
    weights = {name: part.clone() for name, part in networks["unet"].state_dict().items()}
    with pytest.raises(ZeroDivisionError), adapted(networks["unet"], "unet", [[(lora, 1.0)]] * 3):
        _ = 1 / 0
    assert torch.equal(unet_with(networks, [], [], []), before)
    assert all(torch.equal(part, weights[name]) for name, part in networks["unet"].state_dict().items())


def test_what_overflows_in_one_row_leaves_the_others_alone(networks: Networks, tmp_path: Path) -> None:
    huge = load_lora(write_lora(tmp_path / "huge.safetensors", networks, strength=1e30), networks)
    together = unet_with(networks, [(huge, 4.0)], [], [])
    assert not torch.isfinite(together[0]).all()
    assert torch.equal(together[1:], unet_with(networks, [], [], [])[1:])


def test_both_text_encoders_of_sdxl_are_added_to(sdxl_checkpoint: Path, tmp_path: Path) -> None:
    networks = networks_of(sdxl_checkpoint, xl=True)
    for layout in ("kohya", "diffusers"):
        lora = load_lora(write_lora(tmp_path / f"{layout}.safetensors", networks, layout=layout), networks)
        assert {name for name in networks if lora.touches_any([name])} == set(networks)
        assert {len(lora.layers[name]) % 6 for name in ("text_encoder", "text_encoder_2")} == {0}
    alone = {"unet": networks["unet"]}
    unet_only = load_lora(write_lora(tmp_path / "unet.safetensors", alone), networks)
    assert not unet_only.touches_any(["text_encoder", "text_encoder_2"])


def _empty(file: Path) -> None:
    save_file({}, file)


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def _changed(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(file: Path) -> None:
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)

    return rewrite


FIRST = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_truncated, "cannot be used as a LoRA"),
        (_empty, "adds nothing"),
        (_changed(lambda tensors: tensors.pop(f"{FIRST}.lora_B.weight")), "cannot be used as a LoRA"),
        (
            _changed(lambda tensors: tensors.update({f"{FIRST}.lora_A.weight": torch.zeros(3, 7)})),
            "has another shape there",
        ),
        (
            _changed(lambda tensors: tensors[f"{FIRST}.lora_A.weight"].fill_(float("nan"))),
            "values that are not numbers",
        ),
        (
            _changed(lambda tensors: tensors.update({"unet.nowhere.to_q.lora_A.weight": torch.zeros(3, 8)})),
            "cannot be used as a LoRA",
        ),
        (
            _changed(lambda tensors: tensors.update({"transformer.x.lora_A.weight": torch.zeros(3, 8)})),
            "there is no layer for transformer.x",
        ),
        (_changed(lambda tensors: tensors.update({"unet.a.dora_scale": torch.zeros(3)})), "but DoRA"),
        (_changed(lambda tensors: tensors.update({"lora_unet_a.hada_w1_a": torch.zeros(3)})), "but LoHa"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_says_why(
    networks: Networks, tmp_path: Path, break_it: Callable[[Path], None], said: str
) -> None:
    file = write_lora(tmp_path / "broken.safetensors", networks, layout="diffusers")
    break_it(file)
    with pytest.raises(ModelLoadError, match=said) as caught:
        load_lora(file, networks)
    assert "broken.safetensors" in str(caught.value)


def test_a_lora_of_another_architecture_is_refused(
    networks: Networks, sdxl_checkpoint: Path, tmp_path: Path
) -> None:
    xl = networks_of(sdxl_checkpoint, xl=True)
    for layout in ("kohya", "diffusers"):
        file = write_lora(tmp_path / f"{layout}.safetensors", xl, layout=layout)
        with pytest.raises(ModelLoadError):
            load_lora(file, networks)


def test_its_size_is_what_its_tensors_take(networks: Networks, tmp_path: Path) -> None:
    file = write_lora(tmp_path / "one.safetensors", networks, alpha=None)
    lora: Lora = load_lora(file, networks)
    assert lora.size_bytes == sum(part.nbytes for part in load_file(file).values())
