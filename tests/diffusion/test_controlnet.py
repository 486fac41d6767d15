import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.controlnets import (
    make_controlnet,
    write_controlnet,
    write_original_controlnet,
    write_plain_controlnet,
)
from tests.diffusion.test_lora import networks_of
from underpaint.diffusion.controlnet import (
    Control,
    ControlMode,
    ControlNet,
    load_controlnet,
    require_fitting,
    residuals,
)
from underpaint.diffusion.family import ModelLoadError

DICE = torch.Generator().manual_seed(0)
INPUTS: dict[str, Any] = {
    "sample": torch.randn((4, 4, 8, 8), generator=DICE),
    "timestep": torch.tensor([500.0, 500.0, 20.0, 999.0]),
    "encoder_hidden_states": torch.randn((4, 77, 32), generator=DICE),
    "timestep_cond": None,
    "added_cond_kwargs": None,
}
MAPS = torch.rand((3, 3, 64, 64), generator=DICE)


@pytest.fixture(scope="module")
def unet(sd1_checkpoint: Path) -> Any:
    return networks_of(sd1_checkpoint)["unet"]


@pytest.fixture(scope="module")
def xl_unet(sdxl_checkpoint: Path) -> Any:
    return networks_of(sdxl_checkpoint, xl=True)["unet"]


@pytest.fixture(scope="module")
def nets(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> list[ControlNet]:
    folder = tmp_path_factory.mktemp("controlnets")
    return [
        load_controlnet(write_controlnet(folder / str(seed), unet, seed=seed), unet, pools=seed == 2)
        for seed in range(3)
    ]


def made_by(net: ControlNet, inputs: dict[str, Any], *controls: list[Control]) -> list[Tensor]:
    made = residuals(controls, negative=[False] * len(controls), inputs=inputs)
    assert made is not None
    return [*made.down, made.mid]


@pytest.mark.parametrize("form", ["original", "without prefix", "plain", "plain with config"])
@pytest.mark.parametrize("xl", [False, True])
def test_all_layouts_give_the_same_network(
    unet: Any, xl_unet: Any, tmp_path: Path, form: str, xl: bool
) -> None:
    base = xl_unet if xl else unet
    network, file = make_controlnet(base), tmp_path / "a.safetensors"
    match form:
        case "original":
            write_original_controlnet(file, network)
        case "without prefix":
            write_original_controlnet(file, network, prefix="")
        case _:
            write_plain_controlnet(file, network)
    if form.endswith("config"):
        network.save_config(tmp_path)
    found = load_controlnet(file, base)
    folder = load_controlnet(write_controlnet(tmp_path / "folder", base), base)
    assert found.network.state_dict().keys() == network.state_dict().keys()
    for name, part in network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], part), name
        assert torch.equal(folder.network.state_dict()[name], part), name


def test_a_checkpoint_may_be_in_the_file_too(unet: Any, tmp_path: Path) -> None:
    file = write_original_controlnet(tmp_path / "a.safetensors", make_controlnet(unet))
    beside = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2),
        "alphas_cumprod": torch.zeros(3),
    }
    save_file({**load_file(file), **beside}, file)
    load_controlnet(file, unet)


def test_each_row_has_its_own(unet: Any, nets: list[ControlNet]) -> None:
    first, second, pooling = nets
    rows = [
        [
            Control(controlnet=first, map=MAPS[0], weight=1.0),
            Control(controlnet=second, map=MAPS[1], weight=0.3),
        ],
        [],
        [Control(controlnet=first, map=MAPS[2], weight=0.6, mode="prompt")],
        [
            Control(controlnet=first, map=MAPS[0], weight=0.5),
            Control(controlnet=pooling, map=MAPS[0], weight=0.5),
            Control(controlnet=first, map=MAPS[1], weight=0.2),
        ],
    ]
    together = made_by(first, INPUTS, *rows)
    for position, row in enumerate(rows):
        if not row:
            assert not any(bool(part[position].any()) for part in together)
            continue
        own = {
            name: value[position : position + 1] if isinstance(value, Tensor) else value
            for name, value in INPUTS.items()
        }
        alone = made_by(first, own, row)
        one_by_one = [made_by(first, own, [control]) for control in row]
        for layer, part in enumerate(together):
            torch.testing.assert_close(part[position], alone[layer][0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(
                alone[layer], sum(each[layer] for each in one_by_one), atol=1e-4, rtol=1e-4
            )


@pytest.mark.parametrize("mode", ["balanced", "controlnet"])
def test_it_is_what_diffusers_makes(nets: list[ControlNet], mode: ControlMode) -> None:
    control = Control(controlnet=nets[0], map=MAPS[0], weight=0.7, mode=mode)
    made = made_by(nets[0], INPUTS, *[[control]] * 4)
    with torch.no_grad():
        down, mid = nets[0].network(
            INPUTS["sample"],
            INPUTS["timestep"],
            INPUTS["encoder_hidden_states"],
            MAPS[:1].expand(4, -1, -1, -1),
            conditioning_scale=0.7,
            guess_mode=mode == "controlnet",
            return_dict=False,
        )
    for ours, theirs in zip(made, [*down, mid], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_scales_by_depth_are_those_of_the_extension() -> None:
    """0.825 to the power of the layers that are deeper, of 13: to what is left by the rounding of that number."""
    net = ControlNet(name="", network=None, pools=False)
    scales = Control(controlnet=net, map=MAPS[0], weight=0.5, mode="prompt").scales(13)
    published = torch.tensor([0.5 * 0.825 ** (12 - layer) for layer in range(13)])
    torch.testing.assert_close(scales, published, atol=0, rtol=0.01)


def test_one_that_pools_says_the_same_everywhere_and_nothing_to_the_negative_prompt(
    nets: list[ControlNet],
) -> None:
    pooling = Control(controlnet=nets[2], map=MAPS[0], weight=1.0)
    for part in made_by(nets[2], INPUTS, *[[pooling]] * 4):
        torch.testing.assert_close(part, part.mean(dim=(2, 3), keepdim=True).expand_as(part))
    assert not pooling.acts_on(negative=True)


@pytest.mark.parametrize(
    ("mode", "weight", "acting"),
    [
        ("balanced", 1.0, (True, True)),
        ("prompt", 1.0, (True, True)),
        ("controlnet", 1.0, (True, False)),
        ("balanced", 0.0, (False, False)),
    ],
)
def test_on_which_rows_it_acts(
    nets: list[ControlNet], mode: ControlMode, weight: float, acting: tuple[bool, bool]
) -> None:
    control = Control(controlnet=nets[0], map=MAPS[0], weight=weight, mode=mode)
    assert (control.acts_on(negative=False), control.acts_on(negative=True)) == acting
    if acting == (False, False):
        assert residuals([[control]], negative=[False], inputs=INPUTS) is None


def test_what_does_not_fit_is_refused(unet: Any, xl_unet: Any, tmp_path: Path) -> None:
    network = make_controlnet(unet)
    whole = write_plain_controlnet(tmp_path / "whole.safetensors", network)
    tensors = load_file(whole)
    broken, short, more = (tmp_path / f"{name}.safetensors" for name in ("broken", "short", "more"))
    broken.write_bytes(whole.read_bytes()[:-8])
    save_file({name: part for name, part in tensors.items() if name != "conv_in.bias"}, short)
    save_file({**tensors, "conv_in.other": tensors["conv_in.bias"].clone()}, more)
    no_config = write_controlnet(tmp_path / "no_config", unet)
    (no_config / "config.json").unlink()
    other_class = write_controlnet(tmp_path / "other_class", unet)
    config = json.loads((other_class / "config.json").read_text())
    (other_class / "config.json").write_text(json.dumps({**config, "_class_name": "ControlNetUnionModel"}))
    empty = tmp_path / "empty"
    empty.mkdir()
    network.save_config(empty)
    narrow = write_controlnet(tmp_path / "narrow", unet, block_out_channels=(32, 32))
    four = write_controlnet(tmp_path / "four", unet, conditioning_channels=4)
    coarse = write_controlnet(tmp_path / "coarse", unet, conditioning_embedding_out_channels=(16, 32))
    deaf = write_controlnet(tmp_path / "deaf", unet, cross_attention_dim=48)
    sized = write_controlnet(tmp_path / "sized", xl_unet, projection_class_embeddings_input_dim=88)
    reasons = {
        broken: "broken",
        short: "conv_in.bias",
        more: "conv_in.other",
        no_config: "config.json",
        other_class: "config.json",
        empty: "no safetensors weights",
        narrow: "channels",
        four: "maps of 4 channels",
        coarse: "2 pixels for a latent",
        deaf: "cross_attention_dim is 48",
        tmp_path / "missing.safetensors": "missing",
    }
    for location, reason in reasons.items():
        with pytest.raises(ModelLoadError, match=reason) as refused:
            require_fitting(load_controlnet(location, unet), unet, pixels_per_latent=8)
        assert str(tmp_path) not in str(refused.value)
    with pytest.raises(ModelLoadError, match="projection_class_embeddings_input_dim"):
        require_fitting(load_controlnet(sized, xl_unet), xl_unet, pixels_per_latent=8)
    require_fitting(load_controlnet(whole, unet), unet, pixels_per_latent=8)
    with pytest.raises(ModelLoadError):
        load_controlnet(whole, xl_unet)


def test_an_inpainting_models_is_that_of_a_plain_one(make_checkpoint: Any, unet: Any, tmp_path: Path) -> None:
    inpainting = networks_of(make_checkpoint(in_channels=9))["unet"]
    file = write_plain_controlnet(tmp_path / "a.safetensors", make_controlnet(unet))
    net = load_controlnet(file, inpainting)
    wide = {**INPUTS, "sample": torch.cat([INPUTS["sample"], torch.randn(4, 5, 8, 8)], dim=1)}
    control = Control(controlnet=net, map=MAPS[0], weight=1.0)
    for ours, plain in zip(
        made_by(net, wide, *[[control]] * 4), made_by(net, INPUTS, *[[control]] * 4), strict=True
    ):
        assert torch.equal(ours, plain)


def test_filled_up_a_rows_sums_are_the_same_whoever_shares_the_pass(nets: list[ControlNet]) -> None:
    one = Control(controlnet=nets[0], map=MAPS[0], weight=0.4, fills_pass=True)
    other = Control(controlnet=nets[0], map=MAPS[1], weight=1.0, fills_pass=True)
    alone = made_by(nets[0], INPUTS, [one], [], [], [])
    together = made_by(nets[0], INPUTS, [one], [other], [other, one], [])
    for part, beside in zip(alone, together, strict=True):
        assert torch.equal(part[0], beside[0])
