"""Stable Diffusion 1.x and 2.x, and every checkpoint in their layout: the embedded model is one.

diffusers and transformers supply the networks. diffusers' pipelines are the reference that the tests hold this to.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from underpaint.diffusion.autoencoder import Autoencoder
from underpaint.diffusion.clip_text import ClipText, joined, match_by_windows
from underpaint.diffusion.controlnet import ControlNet, load_controlnet, require_fitting, residuals
from underpaint.diffusion.deep_cache import shallow_pass, whole_pass
from underpaint.diffusion.encoded import EncodedPicture, EncodedPrompt, Hidden, Picture
from underpaint.diffusion.family import ModelLoadError, Row
from underpaint.diffusion.image_encoder import ImageEncoder
from underpaint.diffusion.ip_adapter import IPAdapter, load_ip_adapter, prompted
from underpaint.diffusion.loading import PipelineLayout, load_pipeline
from underpaint.diffusion.lora import Lora, Loras, adapted, load_lora
from underpaint.diffusion.masking import Mask, latent_mask
from underpaint.diffusion.openvino_unet import OpenVinoUnet
from underpaint.diffusion.placement import bring, placed
from underpaint.diffusion.prompt_weighting import PromptWeighting
from underpaint.diffusion.textual_inversion import NewWord, TextualInversion, load_inversion


class StableDiffusion:
    """A loaded checkpoint. Stateless between calls: everything about a request is in the request."""

    encodes_from_noise = False
    sees_map = False
    layout: ClassVar = PipelineLayout(
        pipeline="StableDiffusionPipeline",
        denoiser="unet",
        text_encoders={"text_encoder": "CLIPTextModel"},
        tokenizers=("tokenizer",),
        options={"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    )

    def __init__(self, pipeline: Any, *, device: torch.device) -> None:
        self._text = self._load_text(pipeline, device)
        self._unet: Any = placed(pipeline.unet, device).to(memory_format=torch.channels_last).eval()
        self.compiled: OpenVinoUnet | None = None
        self._autoencoder = self._load_autoencoder(pipeline, device)
        encoders = {name: getattr(pipeline, name) for name in self.layout.text_encoders}
        self._text_networks = {name: encoder for name, encoder in encoders.items() if encoder is not None}
        self.text_networks = tuple(self._text_networks)
        self._device = device
        self.dtype: torch.dtype = self._unet.dtype
        self.scheduler_config: Mapping[str, Any] = dict(pipeline.scheduler.config)
        self.latent_channels = int(self._unet.config.out_channels)
        self.pixels_per_latent = self._autoencoder.pixels_per_latent
        taken = int(self._unet.config.in_channels)
        # Beside the latents a channel for the mask, and the latents of the masked picture: Rombach et al.,
        # arXiv:2112.10752, section 4.5.
        self.sees_mask = taken == 2 * self.latent_channels + 1
        if taken != self.latent_channels and not self.sees_mask:
            raise ModelLoadError(
                f"this checkpoint's UNet takes {taken} channels and gives {self.latent_channels}: it is neither an "
                "ordinary nor an inpainting model, and this version cannot run it"
            )

    @classmethod
    def load(
        cls, location: Path, *, config: str | Path | None, device: torch.device, dtype: torch.dtype
    ) -> Self:
        """See `Family.load`."""
        pipeline = load_pipeline(location, cls.layout, config=config, dtype=dtype)
        try:
            return cls(pipeline, device=device)
        except (AttributeError, TypeError) as failure:
            message = f"{location.name} cannot be loaded: it is of another architecture ({failure})"
            raise ModelLoadError(message) from failure

    def _load_text(self, pipeline: Any, device: torch.device) -> Sequence[ClipText]:
        """The text encoders, whose hidden states are joined token by token."""
        return [ClipText(pipeline.tokenizer, pipeline.text_encoder, device=device)]

    def _load_autoencoder(self, pipeline: Any, device: torch.device) -> Autoencoder:
        return Autoencoder(pipeline.vae, device=device)

    def latent_shape(self, *, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """(1, channels, height, width) of the latents of a picture."""
        scale = self.pixels_per_latent
        return (1, self.latent_channels, height_px // scale, width_px // scale)

    def schedule(self, *, steps: int, width_px: int, height_px: int) -> Mapping[str, Any]:
        """Nothing: the scheduler's configuration says it all."""
        return {}

    def encode_prompt(
        self,
        prompt: str,
        *,
        negative: bool = False,
        clip_skip: int = 0,
        weighting: PromptWeighting | None = None,
    ) -> EncodedPrompt:
        """See `Family.encode_prompt`. Negative prompts are encoded like others."""
        encoded = [text.encode(prompt, clip_skip=clip_skip, weighting=weighting) for text in self._text]
        return joined(encoded, dtype=self.dtype)

    def load_autoencoder(self, location: Path) -> Autoencoder:
        """See `TakesAutoencoders.load_autoencoder`."""
        return self._autoencoder.with_weights(location)

    def load_lora(self, location: Path) -> Lora:
        """See `TakesLoras.load_lora`."""
        return load_lora(location, {"unet": self._unet, **self._text_networks})

    def load_inversion(self, location: Path) -> TextualInversion:
        """See `TakesEmbeddings.load_inversion`."""
        bring(*self._text_networks.values())
        return load_inversion(location, self._text_networks)

    def load_ip_adapter(self, location: Path) -> IPAdapter:
        """See `TakesImagePrompts.load_ip_adapter`."""
        bring(self._unet)
        return load_ip_adapter(location, self._unet)

    def load_image_encoder(self, folder: Path) -> ImageEncoder:
        """See `TakesImagePrompts.load_image_encoder`."""
        return ImageEncoder.load(folder, device=self._device, dtype=self.dtype)

    def load_controlnet(self, location: Path, *, pools: bool) -> ControlNet:
        """See `TakesControls.load_controlnet`."""
        bring(self._unet)
        return load_controlnet(location, self._unet, pools=pools)

    def require_fitting(self, controlnet: ControlNet) -> None:
        """See `TakesControls.require_fitting`."""
        require_fitting(controlnet, self._unet, pixels_per_latent=self.pixels_per_latent)

    def control_map(self, picture: Picture) -> Tensor:
        """See `TakesControls.control_map`."""
        pixels = torch.from_numpy(picture.astype(np.float32) / 255.0).permute(2, 0, 1)
        return pixels.to(self._device, self.dtype)

    @contextmanager
    def with_loras(self, loras: Loras) -> Iterator[None]:
        """See `TakesLoras.with_loras`."""
        with ExitStack() as stack:
            for name, network in self._text_networks.items():
                stack.enter_context(adapted(network, name, [loras]))
            yield

    @contextmanager
    def with_words(self, words: Sequence[NewWord]) -> Iterator[None]:
        """See `TakesEmbeddings.with_words`."""
        with ExitStack() as stack:
            for text, name in zip(self._text, self.text_networks, strict=True):
                stack.enter_context(text.with_words(words, name))
            yield

    def match_prompts(
        self, prompt: EncodedPrompt, negative: EncodedPrompt
    ) -> tuple[EncodedPrompt, EncodedPrompt]:
        """Give two prompts the same number of tokens, by windows of the empty prompt after the shorter one."""
        return match_by_windows(prompt, negative, window=lambda: self.encode_prompt(""))

    def encode_picture(self, picture: Picture, *, hidden: Hidden | None = None) -> EncodedPicture:
        """See `Family.encode_picture`."""
        return self._autoencoder.encode(picture, hidden=hidden)

    @torch.inference_mode()
    def predict(self, rows: Sequence[Row]) -> Tensor:
        """See `Family.predict`."""
        bring(self._unet)
        inputs = self._inputs(rows)
        added = residuals(
            [row.controls for row in rows], negative=[row.negative for row in rows], inputs=inputs
        )
        if rows[0].compiled and self.compiled is not None and added is None:
            return self.compiled(**inputs)[0]
        if added is not None:
            inputs |= added.inputs
        with (
            adapted(self._unet, "unet", [row.loras for row in rows]),
            prompted(self._unet, [row.image_prompts for row in rows]),
        ):
            if rows[0].deep is not None:
                predicted = self._predict_with_deep_cache(rows, inputs, branch=rows[0].deep.branch)
            else:
                predicted = self._unet(**inputs, return_dict=False)[0]
        return predicted.float().cpu()

    def _predict_with_deep_cache(
        self, rows: Sequence[Row], inputs: Mapping[str, Any], *, branch: int
    ) -> Tensor:
        held = [row.deep for row in rows if row.deep is not None]
        known = [deep.values for deep in held if deep.values is not None and not deep.due]
        if known:
            return shallow_pass(self._unet, inputs, branch=branch, features=torch.stack(known))
        predicted, features = whole_pass(self._unet, inputs, branch=branch)
        for deep, values in zip(held, features, strict=True):
            deep.values = values
        return predicted

    def compile(self, precision: torch.dtype) -> OpenVinoUnet:
        """See `Compilable.compile`."""
        _, example = self._example()
        return OpenVinoUnet.compile(self._unet, example, precision=precision)

    @torch.inference_mode()
    def distance(self, compiled: OpenVinoUnet) -> float:
        """See `Compilable.distance`."""
        rows, _ = self._example()
        inputs = self._inputs(rows)
        exact = self._unet(**inputs, return_dict=False)[0].double()
        return float((compiled(**inputs)[0] - exact).norm() / exact.norm())

    def _example(self) -> tuple[Sequence[Row], dict[str, Any]]:
        """Rows as they come, and the same as inputs."""
        # The conversion writes down how it went with these: with sides that no UNet can halve in the end, it is told of
        # every size that it has to return to.
        side = 2 ** len(self._unet.config.block_out_channels) + 1
        noise = torch.Generator("cpu").manual_seed(0)
        rows = [
            Row(
                latents=torch.randn(int(self._unet.config.in_channels), side, side, generator=noise),
                timestep=timestep,
                prompt=self.encode_prompt(""),
                guidance_scale=7.0,
            )
            for timestep in (801.0, 201.0)
        ]
        # Outside of inference mode, in which no model can be converted.
        return rows, {name: _cloned(value) for name, value in self._inputs(rows).items()}

    def _inputs(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What the UNet takes for these rows, by name."""
        taken = [row.latents if row.beside is None else torch.cat([row.latents, row.beside]) for row in rows]
        latents = torch.stack(taken).to(self._device, self.dtype)
        timesteps = torch.tensor([row.timestep for row in rows], dtype=torch.float32, device=self._device)
        guidance = None
        if width := self._unet.config.time_cond_proj_dim:
            scales = torch.tensor([row.guidance_scale for row in rows], dtype=torch.float32)
            guidance = embed_guidance(scales - 1.0, int(width)).to(self._device, self.dtype)
        return {
            "sample": latents.contiguous(memory_format=torch.channels_last),
            "timestep": timesteps,
            "encoder_hidden_states": torch.stack([row.prompt.hidden_states for row in rows]),
            "timestep_cond": guidance,
            "added_cond_kwargs": self._added_conditions(rows),
        }

    def _added_conditions(self, rows: Sequence[Row]) -> Mapping[str, Tensor] | None:
        """What the UNet is told besides prompts and timesteps, each (rows, ...)."""
        return None

    @property
    def guidance_is_an_input(self) -> bool:
        """Whether the model takes the guidance scale as an input, so that a request needs no unconditional row."""
        return self._unet.config.time_cond_proj_dim is not None

    def beside(self, shown: Tensor, mask: Mask) -> Tensor:
        """See `Family.beside`: the mask, then the latents."""
        return torch.cat([latent_mask(mask, self.pixels_per_latent), shown], dim=1)

    def decode(self, latents: Tensor) -> Picture:
        """See `Family.decode`."""
        return self._autoencoder.decode(latents)

    def predicted_latents(self, scaled: Tensor, prediction: Tensor, timestep: float) -> Tensor:
        """See `Family.predicted_latents`; `scaled` is of unit variance."""
        alpha_bar = float(np.interp(timestep, np.arange(len(self._alphas_cumprod)), self._alphas_cumprod))
        signal, noise = math.sqrt(max(alpha_bar, 1e-6)), math.sqrt(1.0 - alpha_bar)
        match self.scheduler_config.get("prediction_type", "epsilon"):
            case "v_prediction":
                # Salimans and Ho, arXiv:2202.00512, appendix D.
                return signal * scaled - noise * prediction
            case "sample":
                return prediction
            case _:
                return (scaled - noise * prediction) / signal

    def sketch(self, latents: Tensor) -> Picture:
        """A picture of latents (channels, height, width), one pixel for each, by a linear guess at the decoder."""
        return self._autoencoder.sketch(latents)

    @cached_property
    def _alphas_cumprod(self) -> NDArray[np.float64]:
        from diffusers import DDPMScheduler

        scheduler = DDPMScheduler.from_config(self.scheduler_config)
        cumulated: NDArray[np.float64] = scheduler.alphas_cumprod.double().numpy()
        return cumulated


def _cloned(value: Any) -> Any:
    """Inputs of a UNet that were not made in inference mode."""
    if isinstance(value, Mapping):
        return {name: _cloned(each) for name, each in value.items()}
    return value.clone() if isinstance(value, Tensor) else value


def embed_guidance(scales: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding of guidance scales, (rows,) to (rows, width).

    Meng et al., "On Distillation of Guided Diffusion Models" (arXiv:2210.03142), as trained into latent consistency
    models; the frequencies are those of Vaswani et al. (arXiv:1706.03762), the scale is 1000.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(np.log(10000.0) / (half - 1)))
    angles = (scales * 1000.0)[:, None] * frequencies[None, :]
    embedded = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    return torch.nn.functional.pad(embedded, (0, width % 2))
