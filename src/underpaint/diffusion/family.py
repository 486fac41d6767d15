"""The shape that every model family has. `docs/families.md` says how to add one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from underpaint.diffusion.deep_cache import DeepFeatures
from underpaint.diffusion.encoded import EncodedPicture, EncodedPrompt, Hidden, Picture
from underpaint.diffusion.masking import Mask
from underpaint.diffusion.prompt_weighting import PromptWeighting

if TYPE_CHECKING:
    from underpaint.diffusion.controlnet import Controls
    from underpaint.diffusion.ip_adapter import ImagePrompts
    from underpaint.diffusion.lora import Loras
    from underpaint.diffusion.openvino_unet import OpenVinoUnet


class ModelLoadError(RuntimeError):
    """The files of a model cannot be used. The message is fit to show a client."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One row of a forward pass: one request's latents under one prompt."""

    latents: Tensor
    """(channels, height, width) in latent pixels, scaled for the model."""
    timestep: float
    prompt: EncodedPrompt
    negative: bool = False
    """Whether this is the unconditional row of classifier-free guidance."""
    guidance_scale: float
    """Only read by models that take guidance as an input, such as latent consistency models."""
    loras: "Loras" = ()
    """Of the request; only of families that take any."""
    beside: Tensor | None = None
    """(channels, height, width) that go in beside the latents, unscaled: for models that see the mask."""
    references: Sequence[Tensor] = ()
    """Each (channels, height, width): latents of pictures that the model looks at, unscaled; only of families that look
    at any."""
    image_prompts: "ImagePrompts" = ()
    """Like `loras`."""
    controls: "Controls" = ()
    """Those that act at this step; likewise."""
    deep: DeepFeatures | None = None
    """Deep features of earlier passes, to use or to set; only of requests for DeepCache, and of models with a UNet."""
    compiled: bool = False
    """Whether the model's compiled form runs it, if it has one; the same for all rows of a pass. Only of rows without
    LoRAs, image prompts and deep features: it knows nothing of what is hung on the network.
    """


@runtime_checkable
class Compilable(Protocol):
    """A family whose passes OpenVINO can run."""

    compiled: "OpenVinoUnet | None"
    """What runs the passes whose rows ask for it. It may come while passes run."""

    def compile(self, precision: torch.dtype) -> "OpenVinoUnet":
        """A compiled form of this model, on the CPU in float32, which is not used yet. Passes must not run beside.

        Raises:
            OpenVinoMissing, RuntimeError: see `OpenVinoUnet.compile`.
        """
        ...

    def distance(self, compiled: "OpenVinoUnet") -> float:
        """How far its prediction is from the exact one in an example, by the length of the exact one."""
        ...


class Family(Protocol):
    """A loaded checkpoint of a model family. Stateless between calls: everything about a request is in the request."""

    scheduler_config: Mapping[str, Any]
    """The checkpoint's own scheduler configuration, as diffusers writes it."""
    pixels_per_latent: int
    """Pixels along each side of a latent."""
    dtype: torch.dtype
    """Precision of the denoising network, which need not be the one that was asked for."""
    sees_map: bool
    """Whether the picture is a map, of edges or depth, that the model has beside its latents: it begins with noise."""
    encodes_from_noise: bool
    """Whether an inpainting model that begins with noise has its picture encoded, and noise drawn for that, too, as in
    diffusers' pipeline.
    """

    @classmethod
    def load(
        cls, location: Path, *, config: str | Path | None, device: torch.device, dtype: torch.dtype
    ) -> Self:
        """Load a diffusers folder, or a single .safetensors file in the layout in which such models are published.

        Args:
            location: the folder or file. Only safetensors weights are read; pickles are never opened.
            config: for a single file, a diffusers folder or hub id with the configuration and tokenizers of its
                architecture, which such files lack; None for diffusers' guess, which asks the hub.
            device: where the networks go.
            dtype: precision of their weights.

        Raises:
            ModelLoadError: the files are missing, damaged, pickled or of another architecture.
        """
        ...

    @property
    def sees_mask(self) -> bool:
        """Whether every row has the mask and the latents of what it keeps beside its own latents: an inpainting model,
        which needs nothing to be put back.
        """
        ...

    @property
    def guidance_is_an_input(self) -> bool:
        """Whether the model takes the guidance scale as an input, or none, so that a request needs no unconditional
        row.
        """
        ...

    def latent_shape(self, *, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """(1, channels, height, width) of the latents of a picture."""
        ...

    def schedule(self, *, steps: int, width_px: int, height_px: int) -> Mapping[str, Any]:
        """What the family has to say of the timesteps, by the names of the arguments of diffusers' `set_timesteps`."""
        ...

    def encode_prompt(
        self,
        prompt: str,
        *,
        negative: bool = False,
        clip_skip: int = 0,
        weighting: PromptWeighting | None = None,
    ) -> EncodedPrompt:
        """What the model is told of a prompt.

        Args:
            prompt: any text, also empty, of any length.
            negative: whether it is what the picture is led away from.
            clip_skip: how many of the encoder's last layers to leave out, beyond those that the family always does.
            weighting: syntax of the weights within the prompt; None for plain text.

        Raises:
            PromptSyntaxError: the prompt breaks the rules of its syntax.
        """
        ...

    def match_prompts(
        self, prompt: EncodedPrompt, negative: EncodedPrompt
    ) -> tuple[EncodedPrompt, EncodedPrompt]:
        """The same two prompts with equal numbers of tokens."""
        ...

    def encode_picture(self, picture: Picture, *, hidden: Hidden | None = None) -> EncodedPicture:
        """Latents of a picture whose sides are multiples of `pixels_per_latent`.

        Args:
            picture: what is encoded.
            hidden: where the model is shown mid-gray in its place.
        """
        ...

    def beside(self, shown: Tensor, mask: Mask) -> Tensor:
        """What an inpainting model has beside its latents, (1, channels, height, width) in latent pixels.

        Args:
            shown: latents of what the mask keeps, of the shape of the model's own.
            mask: in pixels.
        """
        ...

    def predict(self, rows: Sequence[Row]) -> Tensor:
        """One forward pass over rows of any mix of requests.

        Args:
            rows: at least one, all with latents, prompts and references of the same shapes.

        Returns:
            (rows, channels, height, width), float32 on the CPU.
        """
        ...

    def decode(self, latents: Tensor) -> Picture:
        """The picture of latents (1, channels, height, width).

        Raises:
            FloatingPointError: the latents or the decoded picture hold values that are not numbers.
        """
        ...

    def predicted_latents(self, scaled: Tensor, prediction: Tensor, timestep: float) -> Tensor:
        """Latents without noise, as the model sees them from here.

        Args:
            scaled: latents (channels, height, width) as they went into the model.
            prediction: what came out, of the same shape.
            timestep: at which it did.
        """
        ...

    def sketch(self, latents: Tensor) -> Picture:
        """A picture of latents (channels, height, width), one pixel for each, by a linear guess at the decoder."""
        ...
