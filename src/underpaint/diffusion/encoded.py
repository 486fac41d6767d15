"""What a model family makes of a request's prompts and pictures, and pictures themselves."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]
"""Height x width x 3, sRGB."""
Hidden = NDArray[np.bool_]
"""Height x width: pixels that a model is not shown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedPrompt:
    """What the text encoders make of a prompt. Depends on nothing else of a request, so requests can share it."""

    hidden_states: Tensor
    """(tokens, width), on the model's device and in its precision."""
    pooled: Tensor | None = None
    """(width,): the prompt as a whole, for families that take that too."""

    @property
    def tokens(self) -> int:
        """Length of the sequence; only prompts of one length fit into one forward pass."""
        return len(self.hidden_states)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return self.hidden_states.nbytes + (0 if self.pooled is None else self.pooled.nbytes)

    def followed_by(self, tokens: Tensor) -> Self:
        """The same with further `tokens`, (tokens, width), at its end."""
        return replace(self, hidden_states=torch.cat([self.hidden_states, tokens.to(self.hidden_states)]))


def padded_alike(prompt: EncodedPrompt, negative: EncodedPrompt) -> tuple[EncodedPrompt, EncodedPrompt]:
    """The same two prompts with equal numbers of tokens: zeros follow the shorter one."""

    def lengthened(short: EncodedPrompt) -> EncodedPrompt:
        missing = max(prompt.tokens, negative.tokens) - short.tokens
        hidden = torch.nn.functional.pad(short.hidden_states, (0, 0, 0, missing))
        return replace(short, hidden_states=hidden)

    return lengthened(prompt), lengthened(negative)


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedPicture:
    """What an autoencoder makes of a picture: a distribution of latents, or just latents. Float32, on the CPU, in the
    scale in which the denoising model works.
    """

    mean: Tensor
    """(1, channels, height, width)."""
    std: Tensor | None
    """Of the shape of `mean`; None for autoencoders that give no distribution."""

    def sample(self, generator: torch.Generator) -> Tensor:
        """Latents for the denoising model; `generator` is the request's noise stream."""
        if self.std is None:
            return self.mean
        return self.mean + self.std * torch.randn(self.mean.shape, generator=generator, dtype=torch.float32)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return self.mean.nbytes + (0 if self.std is None else self.std.nbytes)
