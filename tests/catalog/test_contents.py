import pytest

from underpaint.catalog import ModelRefused
from underpaint.catalog.contents import (
    FAMILIES,
    Contents,
    acts_upon,
    contents_of,
    is_recognizable,
    same_family,
    unet_type,
)
from underpaint.catalog.safetensors_header import TensorSpec

from .weights import CROSS_ATTENTION, UNET, Shapes, sd_single_file


def recognized(shapes: Shapes) -> Contents:
    return contents_of({name: TensorSpec(dtype="F16", shape=shape) for name, shape in shapes.items()})


def sdxl_single_file(text_width: int = 2048) -> Shapes:
    shapes = {name: shape for name, shape in sd_single_file().items() if "attn2" not in name}
    encoders = {"embedders.0.transformer": (2, 2), "embedders.1.model": (2, 2)}
    if text_width == 1280:
        encoders = {"embedders.0.model": (2, 2)}
    return shapes | {
        f"{UNET}input_blocks.4.{CROSS_ATTENTION}": (8, text_width),
        **{f"conditioner.{name}.weight": shape for name, shape in encoders.items()},
    }


def without(shapes: Shapes, start: str) -> Shapes:
    return {name: shape for name, shape in shapes.items() if not name.startswith(start)}


FLUX = {"double_blocks.0.img_attn.qkv.weight": (2, 2), "img_in.weight": (8, 64)}
GUIDANCE = {"guidance_in.in_layer.weight": (2, 2)}


@pytest.mark.parametrize(
    ("shapes", "architecture", "type_"),
    [
        (sd_single_file(768), "sd1x", "base"),
        (sd_single_file(768, in_channels=9), "sd1x", "inpainting"),
        (sd_single_file(1024, text_encoder="cond_stage_model.model."), "sd2x", "base"),
        # An unusual width is told by the text encoder.
        (sd_single_file(32), "sd1x", "base"),
        (sd_single_file(32, text_encoder="cond_stage_model.model."), "sd2x", "base"),
        (sdxl_single_file(), "sdxl", "base"),
        (sdxl_single_file(1280), "sdxl", "refiner"),
        (FLUX, "flux1s", "base"),
        (FLUX | GUIDANCE, "flux1d", "base"),
        (FLUX | GUIDANCE | {"img_in.weight": (8, 384)}, "flux1d", "inpainting"),
        (FLUX | GUIDANCE | {"img_in.weight": (8, 128)}, "flux1d", "control"),
        ({f"{UNET}{name}": shape for name, shape in (FLUX | GUIDANCE).items()}, "flux1d", "base"),
        (FLUX | {"double_stream_modulation_img.lin.weight": (2, 2)}, "flux2", "base"),
        ({f"{UNET}joint_blocks.0.context_block.attn.qkv.weight": (2, 2)}, "sd3", "base"),
    ],
)
def test_checkpoints_are_told_by_their_tensors(shapes: Shapes, architecture: str, type_: str) -> None:
    assert recognized(shapes) == Contents(category="checkpoint", architecture=architecture, type=type_)


@pytest.mark.parametrize(
    ("shapes", "contents"),
    [
        (
            {"lora_unet_down_blocks_0_attn2_to_k.lora_down.weight": (4, 768)},
            Contents(category="lora", architecture="sd1x"),
        ),
        (
            {
                "unet.down_blocks.1.attn2.to_k.lora_B.weight": (640, 4),
                "unet.down_blocks.1.attn2.to_k.lora_A.weight": (4, 2048),
            },
            Contents(category="lora", architecture="sdxl"),
        ),
        (
            {"transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight": (4, 3072)},
            Contents(category="lora", architecture="flux1d"),
        ),
        (
            {f"control_model.input_blocks.1.{CROSS_ATTENTION}": (8, 768)},
            Contents(category="controlnet", architecture="sd1x"),
        ),
        (
            {"zero_convs.0.0.weight": (2, 2), f"input_blocks.1.{CROSS_ATTENTION}": (8, 1024)},
            Contents(category="controlnet", architecture="sd2x"),
        ),
        (
            {
                "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
                "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (8, 2048),
            },
            Contents(category="controlnet", architecture="sdxl"),
        ),
        ({"controlnet_down_blocks.0.weight": (2, 2)}, Contents(category="controlnet")),
        (
            {"controlnet_x_embedder.weight": (2, 2), "single_transformer_blocks.0.attn.to_k.weight": (2, 2)},
            Contents(category="controlnet", architecture="flux1d"),
        ),
        (
            {"ip_adapter.1.to_k_ip.weight": (8, 768), "image_proj.norm.weight": (2,)},
            Contents(category="ipadapter", architecture="sd1x"),
        ),
        (
            {"double_blocks.0.processor.qkv_lora1.down.weight": (4, 3072)},
            Contents(category="lora", architecture="flux1d"),
        ),
        (
            {"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288)},
            Contents(category="ipadapter", architecture="flux1d"),
        ),
        ({"emb_params": (4, 768)}, Contents(category="embeddings", architecture="sd1x")),
        ({"cat-toy": (768,)}, Contents(category="embeddings", architecture="sd1x")),
        ({"scale": (1,)}, Contents()),
        ({"<cat-toy>": (1, 1024)}, Contents(category="embeddings", architecture="sd2x")),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, Contents(category="embeddings", architecture="sdxl")),
        ({"encoder.conv_in.weight": (2, 2), "decoder.conv_in.weight": (2, 2)}, Contents(category="vae")),
        ({"something.weight": (2, 2)}, Contents()),
        ({}, Contents()),
    ],
)
def test_other_categories_are_told_by_their_tensors(shapes: Shapes, contents: Contents) -> None:
    assert recognized(shapes) == contents


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (without(sd_single_file(), "first_stage_model."), "no autoencoder"),
        (without(sd_single_file(), "cond_stage_model."), "no text encoder"),
        (without(sd_single_file(), f"{UNET}out."), "first or last layer"),
        (sd_single_file(in_channels=8), "8 channels"),
        ({"conv_in.weight": (8, 4, 3, 3), "down_blocks.0.resnets.0.conv1.weight": (2, 2)}, "UNet alone"),
    ],
)
def test_half_checkpoints_and_odd_ones_are_refused(shapes: Shapes, message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        recognized(shapes)


def test_the_number_of_input_channels_is_compared_with_the_latents() -> None:
    assert unet_type(16, latent_channels=16) == "base"
    assert unet_type(33, latent_channels=16) == "inpainting"
    with pytest.raises(ModelRefused):
        unet_type(9, latent_channels=16)


def test_a_family_shares_its_weights_form() -> None:
    assert same_family("pony", "sdxl")
    assert same_family("something-new", "something-new")
    assert not same_family("sd1x", "sdxl")
    assert len({name for family in FAMILIES for name in family}) == sum(map(len, FAMILIES))


def test_only_some_architectures_can_be_recognized() -> None:
    assert is_recognizable("illustrious")
    assert not is_recognizable("qwen_image")


@pytest.mark.parametrize(
    ("addition", "checkpoint", "acts"),
    [
        ("flux1d", "flux1s", True),
        ("flux1d", "fluxkontextdev", True),
        ("flux1s", "flux1d", True),
        ("flux1d", "flux2", False),
        ("flux1d", "sdxl", False),
        ("sdxl", "pony", True),
        ("sd1x", "sd2x", False),
    ],
)
def test_what_is_made_for_one_flux_acts_upon_the_others(addition: str, checkpoint: str, acts: bool) -> None:
    assert acts_upon(addition, checkpoint) is acts
    if acts:
        assert acts_upon(checkpoint, addition)
