"""FLUX.1 Redux: pictures in place of a prompt.

What a SigLIP image encoder makes of a picture goes through two layers and follows, as further tokens, on what the text
encoders make of an empty prompt. Nothing of the model changes, so that jobs with pictures, with other pictures and with
prompts of the same length share their passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor, nn

from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.ip_adapter import Combination, combined
from underpaint.diffusion.loading import load_part, loading


@dataclass(frozen=True, kw_only=True, eq=False)
class Redux:
    """The two layers, for the text width of one model."""

    network: nn.Module

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(weights.nbytes for weights in self.network.parameters())

    @torch.inference_mode()
    def tokens(self, encoded: Sequence[Tensor], combination: Combination) -> Tensor:
        """(tokens, width of the model's text) of what `SiglipEncoder.encode` made of one or several pictures."""
        embedded: Tensor = self.network(torch.stack(list(encoded))).image_embeds
        return embedded.flatten(0, 1) if combination == "concat" else combined(embedded, combination)


class SiglipEncoder:
    """The image encoder that Redux was trained with. Stateless between calls."""

    def __init__(self, network: Any) -> None:
        from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

        self._network = network
        side = int(network.config.image_size)
        # Whatever its shape, the whole picture.
        self._processor: Any = SiglipImageProcessorPil(size={"height": side, "width": side})

    @classmethod
    def load(cls, folder: Path, *, device: torch.device, dtype: torch.dtype) -> "SiglipEncoder":
        """Read a folder in transformers' layout, of which only safetensors are opened.

        Raises:
            ModelLoadError: the files are missing, damaged or of another network.
        """
        if not folder.is_dir():
            raise ModelLoadError(f"the image encoder {folder.name} is missing")
        with loading(folder):
            network = load_part(folder, "SiglipVisionModel", dtype=dtype)
            return cls(network.to(device).eval())

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(weights.nbytes for weights in self._network.parameters())

    @torch.inference_mode()
    def encode(self, picture: Picture) -> Tensor:
        """(tokens, width) of a picture of any size, on the device of the network."""
        pixels = self._processor(Image.fromarray(picture), return_tensors="pt").pixel_values
        states: Tensor = self._network(pixels.to(self._network.device, self._network.dtype)).last_hidden_state
        return states[0]


@runtime_checkable
class TakesRedux(Protocol):
    """A family whose models take pictures in place of a prompt."""

    def load_redux(self, location: Path) -> Redux:
        """Read a safetensors file.

        Raises:
            ModelLoadError: the file is damaged, or for another architecture.
        """
        ...

    def load_siglip(self, folder: Path) -> SiglipEncoder:
        """Read the folder of an image encoder.

        Raises:
            ModelLoadError: the files are missing, damaged or of another network.
        """
        ...


def load_redux(location: Path, *, width: int, device: torch.device, dtype: torch.dtype) -> Redux:
    """Read the file that Black Forest Labs publish, or the one of the same tensors in diffusers' folder.

    Args:
        location: a safetensors file.
        width: of the model's text.
        device: where the network goes.
        dtype: precision of its weights.

    Raises:
        ModelLoadError: the file is damaged, or for another architecture.
    """
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from safetensors.torch import load_file

    with loading(location):
        tensors = load_file(location)
        found, of_encoder = tensors["redux_down.weight"].shape[0], tensors["redux_up.weight"].shape[1]
        if found != width:
            raise ModelLoadError(
                f"{location.name} cannot be used with this model: its text has {width} channels, not {found}"
            )
        network = ReduxImageEncoder(redux_dim=of_encoder, txt_in_features=width)
        network.load_state_dict(tensors)
        return Redux(network=network.to(device, dtype).eval())
