"""The CLIP image encoders that IP-Adapters were trained with."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.loading import load_part, loading


class ImageEncoder:
    """One that is loaded. Stateless between calls."""

    def __init__(self, network: Any) -> None:
        from transformers import CLIPImageProcessor

        self._network = network
        side = int(network.config.image_size)
        # As diffusers' IP-Adapter loader does: the middle square of the picture, whatever its shape.
        self._processor: Any = CLIPImageProcessor(size=side, crop_size=side)

    @classmethod
    def load(cls, folder: Path, *, device: torch.device, dtype: torch.dtype) -> "ImageEncoder":
        """Read a folder in transformers' layout, of which only safetensors are opened.

        Raises:
            ModelLoadError: the files are missing, damaged or of another network.
        """
        if not folder.is_dir():
            raise ModelLoadError(f"the image encoder {folder.name} is missing")
        with loading(folder):
            network = load_part(folder, "CLIPVisionModelWithProjection", dtype=dtype)
            return cls(network.to(device).eval())

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(weights.nbytes for weights in self._network.parameters())

    @torch.inference_mode()
    def encode(self, picture: Picture | None, *, layer: bool) -> Tensor:
        """What it makes of a picture.

        Args:
            picture: of any size; None for what an unconditional row is told.
            layer: whether the output of the last layer but one is wanted, and not the picture as a whole.

        Returns:
            (tokens, width) for a layer, else (width,); on the device of the network.
        """
        side = int(self._network.config.image_size)
        shown = Image.new("RGB", (side, side)) if picture is None else Image.fromarray(picture)
        pixels = self._processor(shown, return_tensors="pt").pixel_values
        pixels = pixels.to(self._network.device, self._network.dtype)
        if not layer:
            whole: Tensor = self._network(pixels).image_embeds[0]
            return whole if picture is not None else torch.zeros_like(whole)
        if picture is None:
            pixels = torch.zeros_like(pixels)
        last_but_one: Tensor = self._network(pixels, output_hidden_states=True).hidden_states[-2][0]
        return last_but_one
