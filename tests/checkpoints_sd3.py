"""Small Stable Diffusion 3 checkpoints with random weights, real in every other respect."""

from pathlib import Path
from typing import Any

from tests.checkpoints import clip_config, make_vae, scale_output, write_tokenizer
from tests.checkpoints_flux import make_t5_tokenizer

SD3_SCHEDULER: dict[str, Any] = {"num_train_timesteps": 1000, "shift": 3.0}
"""As Stable Diffusion 3 medium is published."""
FIRST_WIDTH, SECOND_WIDTH, T5_WIDTH = 16, 32, 56
"""Of the text encoders. T5 is wider than both others together, as it is there."""


def write_sd3_checkpoint(
    folder: Path,
    *,
    t5: bool = True,
    dual_attention: bool = False,
    dynamic_shift: bool = False,
    in_channels: int = 16,
    weights_seed: int = 0,
) -> Path:
    """A Stable Diffusion 3 pipeline, saved as a diffusers folder; with `dual_attention` it is a 3.5 medium."""
    import diffusers
    import torch
    from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel

    from underpaint.diffusion.quiet import quiet_libraries

    torch.manual_seed(weights_seed)
    folder.mkdir(parents=True)
    with quiet_libraries(), torch.no_grad():
        tokenizer = write_tokenizer(folder / "tokenizer")
        third = make_t5_tokenizer()
        transformer = diffusers.SD3Transformer2DModel(
            sample_size=8,
            pos_embed_max_size=32,
            in_channels=in_channels,
            out_channels=16,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=T5_WIDTH,
            caption_projection_dim=32,
            pooled_projection_dim=FIRST_WIDTH + SECOND_WIDTH,
            dual_attention_layers=(0,) if dual_attention else (),
            qk_norm="rms_norm" if dual_attention else None,
        )
        for name, weights in transformer.named_parameters():
            if name.startswith(("context_embedder", "time_text_embed")) or "norm1" in name:
                weights.mul_(4.0)
        made = transformer(
            hidden_states=torch.randn(1, in_channels, 8, 8),
            timestep=torch.tensor([500.0]),
            pooled_projections=torch.randn(1, FIRST_WIDTH + SECOND_WIDTH),
            encoder_hidden_states=torch.randn(1, 20, T5_WIDTH),
        )
        scale_output(transformer.proj_out, made.sample, std=1.0)
        first = CLIPTextModelWithProjection(clip_config(tokenizer, width=FIRST_WIDTH))
        # Single files do not have it: there it has no effect.
        first.text_projection.weight.copy_(torch.eye(FIRST_WIDTH))
        diffusers.StableDiffusion3Pipeline(
            vae=make_vae(
                latent_channels=16,
                scaling_factor=1.5305,
                shift_factor=0.0609,
                use_quant_conv=False,
                use_post_quant_conv=False,
            ),
            text_encoder=first,
            text_encoder_2=CLIPTextModelWithProjection(clip_config(tokenizer, width=SECOND_WIDTH)),
            text_encoder_3=T5EncoderModel(
                T5Config(vocab_size=len(third), d_model=T5_WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=3)
            )
            if t5
            else None,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            tokenizer_3=third if t5 else None,
            transformer=transformer,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler.from_config(
                {**SD3_SCHEDULER, "use_dynamic_shifting": dynamic_shift}
            ),
        ).save_pretrained(folder)
    return folder
