"""Small FLUX.1 checkpoints with random weights, real in every other respect."""

import string
from pathlib import Path
from typing import Any

from tests.checkpoints import clip_config, make_vae, scale_output, write_tokenizer

FLUX_SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "shift": 3.0,
    "use_dynamic_shifting": True,
}
"""As FLUX.1 dev is published."""
SCHNELL_SCHEDULER: dict[str, Any] = {**FLUX_SCHEDULER, "shift": 1.0, "use_dynamic_shifting": False}
"""As FLUX.1 schnell is."""


def write_flux_checkpoint(
    folder: Path,
    *,
    guided: bool = True,
    weights_seed: int = 0,
    in_channels: int = 16,
    pipeline: str = "FluxPipeline",
    sharpness: float = 1.0,
) -> Path:
    """A FLUX.1 pipeline, saved as a diffusers folder: dev if it is guided, else schnell.

    4 channels of latents in place of 16, so that `in_channels` is 16 where FLUX has 64. Without `sharpness` what it
    attends to is nearly the mean of all that there is, in which single patches do not show.
    """
    import diffusers
    import torch
    from transformers import CLIPTextModel, T5Config, T5EncoderModel

    from underpaint.diffusion.quiet import quiet_libraries

    torch.manual_seed(weights_seed)
    folder.mkdir(parents=True)
    with quiet_libraries(), torch.no_grad():
        tokenizer = write_tokenizer(folder / "tokenizer")
        second = make_t5_tokenizer()
        transformer = diffusers.FluxTransformer2DModel(
            in_channels=in_channels,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=24,
            pooled_projection_dim=32,
            guidance_embeds=guided,
            axes_dims_rope=(4, 4, 8),
        )
        for name, weights in transformer.named_parameters():
            if name.startswith(("context_embedder", "time_text_embed")):
                weights.mul_(4.0)
            elif ".norm_" in name:
                weights.mul_(sharpness)
        made = transformer(
            hidden_states=torch.randn(1, 16, in_channels),
            timestep=torch.tensor([0.5]),
            guidance=torch.tensor([3.5]) if guided else None,
            pooled_projections=torch.randn(1, 32),
            encoder_hidden_states=torch.randn(1, 20, 24),
            txt_ids=torch.zeros(20, 3),
            img_ids=torch.zeros(16, 3),
        )
        scale_output(transformer.proj_out, made.sample, std=1.0)
        getattr(diffusers, pipeline)(
            vae=make_vae(
                scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False
            ),
            text_encoder=CLIPTextModel(clip_config(tokenizer, width=32)),
            text_encoder_2=T5EncoderModel(
                T5Config(vocab_size=len(second), d_model=24, d_kv=8, d_ff=48, num_layers=2, num_heads=3)
            ),
            tokenizer=tokenizer,
            tokenizer_2=second,
            transformer=transformer,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler.from_config(
                FLUX_SCHEDULER if guided else SCHNELL_SCHEDULER
            ),
        ).save_pretrained(folder)
    return folder


def make_t5_tokenizer() -> Any:
    """Of some words and every letter."""
    from transformers import T5TokenizerFast

    words = "a red house by the sea watercolor people fog two blue dogs cat snow"
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [(letter, -5.0) for letter in string.printable[:94]]
    pieces = [("▁", -2.0), *((f"▁{word}", -1.0) for word in words.split() if len(word) > 1), *letters]
    tokenizer = T5TokenizerFast(vocab=[*special, *pieces], extra_ids=0)
    tokenizer.model_max_length = 512
    return tokenizer
