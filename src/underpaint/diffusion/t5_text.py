"""Prompts of any length through a T5 encoder, in one piece: its positions are relative, so it has no window."""

from typing import Any

import torch
from torch import Tensor

from underpaint.diffusion.placement import bring, placed
from underpaint.diffusion.prompt_weighting import weighted_fragments


class T5Text:
    """A T5 encoder and its tokenizer."""

    def __init__(self, tokenizer: Any, encoder: Any, *, device: torch.device, tokens: int) -> None:
        """Move the encoder to its device.

        Args:
            tokenizer: of the encoder.
            encoder: a T5EncoderModel.
            device: where it goes.
            tokens: the length that the family was trained on, to which shorter prompts are padded.
        """
        self._tokenizer = tokenizer
        self._encoder: Any = placed(encoder, device).eval()
        self._device = device
        self._tokens = tokens

    @torch.inference_mode()
    def hidden_states(self, prompt: str, *, weighted: bool) -> Tensor:
        """(tokens, width): as many as the family was trained on, or a multiple of that for a prompt that is longer.

        Args:
            prompt: any text, also empty.
            weighted: whether it is in the notation of `sdEmbeds`; the hidden states of each word are multiplied by its
                weight.
        """
        bring(self._encoder)
        words: list[int] = []
        weights: list[float] = []
        for text, weight in weighted_fragments(prompt) if weighted else [(prompt, 1.0)]:
            words += self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            weights += [weight] * (len(words) - len(weights))
        ids = [*words, self._tokenizer.eos_token_id]
        length = -(-len(ids) // self._tokens) * self._tokens
        padded = torch.tensor([[*ids, *[self._tokenizer.pad_token_id] * (length - len(ids))]])
        hidden: Tensor = self._encoder(padded.to(self._device), return_dict=False)[0][0]
        if weighted:
            factors = torch.ones(length, 1)
            factors[: len(weights), 0] = torch.tensor(weights)
            hidden = hidden * factors.to(hidden.device, hidden.dtype)
        return hidden
