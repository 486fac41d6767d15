"""FLUX.1 Redux with random weights, in the layouts in which it is published."""

from pathlib import Path

import torch
from safetensors.torch import save_file

ENCODER_WIDTH, TEXT_WIDTH = 32, 24
"""Of SigLIP's layers, and of the text of `write_flux_checkpoint`."""
TOKENS = 16
"""That a picture becomes."""


def write_redux(folder: Path, *, seed: int = 0, text_width: int = TEXT_WIDTH) -> Path:
    """A folder as diffusers saves it; returned is the file of the two layers."""
    import diffusers
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from transformers import SiglipVisionConfig, SiglipVisionModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    from underpaint.diffusion.quiet import quiet_libraries

    torch.manual_seed(seed)
    config = SiglipVisionConfig(
        hidden_size=ENCODER_WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
    )
    with quiet_libraries(), torch.no_grad():
        encoder = SiglipVisionModel(config)
        for name, weights in encoder.named_parameters():
            if "patch_embedding" in name:
                # Pictures have to tell in what comes out.
                weights.mul_(20.0)
        embedder = ReduxImageEncoder(redux_dim=ENCODER_WIDTH, txt_in_features=text_width)
        embedder.redux_down.weight.mul_(20.0)
        diffusers.FluxPriorReduxPipeline(
            image_encoder=encoder,
            feature_extractor=SiglipImageProcessorPil(size={"height": 32, "width": 32}),
            image_embedder=embedder,
        ).save_pretrained(folder)
    return folder / "image_embedder" / "diffusion_pytorch_model.safetensors"


def write_redux_file(file: Path, *, seed: int = 0) -> Path:
    """The file that Black Forest Labs publish; no image encoder."""
    dice = torch.Generator().manual_seed(seed)
    shapes = {
        "redux_up.weight": (3 * TEXT_WIDTH, ENCODER_WIDTH),
        "redux_up.bias": (3 * TEXT_WIDTH,),
        "redux_down.weight": (TEXT_WIDTH, 3 * TEXT_WIDTH),
        "redux_down.bias": (TEXT_WIDTH,),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.randn(shape, generator=dice) for name, shape in shapes.items()}, file)
    return file
