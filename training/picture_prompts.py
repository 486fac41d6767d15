"""The IP-Adapter's parts: an image encoder, and what a UNet's cross-attentions make of its answer.

The form is that of the published adapters (Ye et al., "IP-Adapter", 2023), so that diffusers and this package load it:
a CLIP image encoder gives a vector for the whole picture, a projection makes a few tokens of it, and each
cross-attention attends to them with keys and values of their own, beside those of the words.
"""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, IPAdapterAttnProcessor
from diffusers.models.embeddings import ImageProjection, MultiIPAdapterImageProjection
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from training.denoiser import Denoiser
from training.export import forget_paths, half

FILE, ENCODER = "ip-adapter.safetensors", "image_encoder"
TOKENS = 4
SIDE_PX = 128
"""Of what the encoder sees. Grain and strokes of a picture of 256 pixels are still there at half of its size."""
ENCODED_WIDTH = 256
CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def build_image_encoder(
    width: int = 192, layers: int = 4, side_px: int = SIDE_PX
) -> CLIPVisionModelWithProjection:
    """A new image encoder: small, since it tells palettes and textures and no objects."""
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=side_px,
        patch_size=16,
        projection_dim=ENCODED_WIDTH,
        hidden_act="gelu",
    )
    return CLIPVisionModelWithProjection(config)


def as_clip_sees(pictures: Tensor) -> Tensor:
    """uint8 ``(n, 3, side, side)`` to what CLIP's preprocessing makes of it."""
    mean, deviation = (
        torch.tensor(values, device=pictures.device)[:, None, None] for values in (CLIP_MEAN, CLIP_DEVIATION)
    )
    return (pictures.float() / 255 - mean) / deviation


class PicturePrompts(nn.Module):
    """All that is trained: the image encoder, the projection, and the keys and values within the UNet."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        encoder: CLIPVisionModelWithProjection | None = None,
    ) -> None:
        """Build it new and put it into the UNet, whose own weights stay as they are.

        It begins where words have led to: keys and values are those of the words, and the tokens are spread as the
        text encoder's are.
        """
        super().__init__()
        self._unet = [unet]
        width = int(unet.config["cross_attention_dim"])
        self.encoder = build_image_encoder() if encoder is None else encoder
        self.projection = ImageProjection(
            image_embed_dim=ENCODED_WIDTH, cross_attention_dim=width, num_image_text_embeds=TOKENS
        )
        self.projection.norm.load_state_dict(_final_norm(text_encoder).state_dict())
        processors: dict[str, nn.Module | AttnProcessor] = {}
        attentions: list[nn.Module] = []
        for name in unet.attn_processors:
            processors[name] = AttnProcessor()
            if name.endswith("attn2.processor"):
                attention = unet.get_submodule(name.removesuffix(".processor"))
                made = IPAdapterAttnProcessor(attention.to_k.out_features, width, num_tokens=(TOKENS,))
                made.to_k_ip[0].load_state_dict(attention.to_k.state_dict())
                made.to_v_ip[0].load_state_dict(attention.to_v.state_dict())
                processors[name] = made
                attentions.append(made)
        self.attentions = nn.ModuleList(attentions)
        unet.set_attn_processor(processors)
        unet.encoder_hid_proj = MultiIPAdapterImageProjection([self.projection])
        unet.register_to_config(encoder_hid_dim_type="ip_image_proj")
        self.to(unet.device)

    def encode(self, pictures: Tensor) -> Tensor:
        """``(n, ENCODED_WIDTH)`` of uint8 pictures of the encoder's size."""
        encoded: Tensor = self.encoder(as_clip_sees(pictures)).image_embeds
        return encoded

    def export(self, folder: Path) -> None:
        """Write the adapter and the encoder's folder beside it, in half precision."""
        tensors = {f"image_proj.{name}": part for name, part in self._projection_state().items()}
        for name, place in self._places():
            tensors[name] = place
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: part.detach().half().contiguous() for name, part in tensors.items()}, folder / FILE)
        encoder = half(self.encoder, CLIPVisionModelWithProjection(self.encoder.config))
        encoder.save_pretrained(folder / ENCODER)
        forget_paths(folder / ENCODER)

    def load(self, folder: Path) -> None:
        """Go on from what `export` wrote."""
        read = load_file(folder / FILE)
        self.projection.load_state_dict(
            {
                name.removeprefix("image_proj.").replace("proj.", "image_embeds.", 1): part
                for name, part in read.items()
                if name.startswith("image_proj.")
            }
        )
        with torch.no_grad():
            for name, place in self._places():
                place.copy_(read[name])
        stored = CLIPVisionModelWithProjection.from_pretrained(folder / ENCODER, dtype=torch.float32)
        self.encoder.load_state_dict(stored.state_dict())

    def _projection_state(self) -> dict[str, Tensor]:
        return {
            name.replace("image_embeds.", "proj."): part
            for name, part in self.projection.state_dict().items()
        }

    def _places(self) -> list[tuple[str, Tensor]]:
        """Keys and values under the published names, in which self-attentions are counted too."""
        return [
            (
                f"ip_adapter.{2 * number + 1}.to_{part}_ip.weight",
                getattr(attention, f"to_{part}_ip")[0].weight,
            )
            for number, attention in enumerate(self.attentions)
            for part in ("k", "v")
        ]


def _final_norm(text_encoder: CLIPTextModel) -> nn.LayerNorm:
    found = [part for name, part in text_encoder.named_modules() if name.endswith("final_layer_norm")]
    norm = found[0]
    assert isinstance(norm, nn.LayerNorm)
    return norm


class PromptedDenoiser(Denoiser):
    """A denoiser whose UNet is told of pictures as well as of words.

    `embeds`, ``(n, ENCODED_WIDTH)``, belong to the first n rows of each pass. Rows after them are told of no picture,
    which is a zero, as in the unconditional half of diffusers' pipelines.
    """

    embeds: Tensor

    def predict(self, latents: Tensor, time: Tensor, ids: Tensor) -> Tensor:
        """The velocity for noisy latents at ``time``, given token ids and `embeds`."""
        words = self.text_encoder(ids).last_hidden_state
        none = self.embeds.new_zeros((len(latents) - len(self.embeds), self.embeds.size(1)))
        told = torch.cat([self.embeds, none])[:, None]
        predicted: Tensor = self.unet(
            latents.contiguous(memory_format=torch.channels_last),
            time,
            words,
            added_cond_kwargs={"image_embeds": [told]},
        ).sample
        return predicted.float()
