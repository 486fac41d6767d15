"""Prompts of any length through a CLIP text encoder, window by window, so that no word is lost."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from underpaint.diffusion.encoded import EncodedPrompt
from underpaint.diffusion.prompt_weighting import PromptWeighting, compel_hidden_states, weighted_fragments


class ClipText:
    """A CLIP text encoder and its tokenizer."""

    def __init__(self, tokenizer: Any, encoder: Any, *, device: torch.device) -> None:
        """Move the encoder, a CLIPTextModel, to its device."""
        self._tokenizer = tokenizer
        self._encoder: Any = encoder.to(device).eval()
        self._device = device
        self._window = int(tokenizer.model_max_length)

    @torch.inference_mode()
    def hidden_states(self, prompt: str, *, clip_skip: int, weighting: PromptWeighting | None) -> Tensor:
        """Hidden states (tokens, width); a prompt within one window gives what diffusers gives.

        Args:
            prompt: any text, also empty.
            clip_skip: how many of the encoder's last layers to leave out.
            weighting: syntax of the weights within the prompt; None for plain text.

        Raises:
            PromptSyntaxError: the prompt breaks the rules of its syntax.
        """
        if weighting == "compel":
            return compel_hidden_states(self._tokenizer, self._encoder, prompt, clip_skip=clip_skip)
        fragments = weighted_fragments(prompt) if weighting == "sdEmbeds" else [(prompt, 1.0)]
        words: list[int] = []
        weights: list[float] = []
        for text, weight in fragments:
            words += self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            weights += [weight] * (len(words) - len(weights))
        begin, end, pad = (
            self._tokenizer.bos_token_id,
            self._tokenizer.eos_token_id,
            self._tokenizer.pad_token_id,
        )
        room = self._window - 2
        chunks = [words[start : start + room] for start in range(0, len(words), room)] or [[]]
        ids = torch.tensor([[begin, *chunk, end, *[pad] * (room - len(chunk))] for chunk in chunks])
        mask = torch.tensor([[1] * (len(chunk) + 2) + [0] * (room - len(chunk)) for chunk in chunks])
        uses_mask = getattr(self._encoder.config, "use_attention_mask", False)
        encoded = self._encoder(
            ids.to(self._device),
            attention_mask=mask.to(self._device) if uses_mask else None,
            output_hidden_states=clip_skip > 0,
        )
        hidden: Tensor
        if clip_skip:
            norm = getattr(self._encoder, "text_model", self._encoder).final_layer_norm
            hidden = norm(encoded.hidden_states[-(clip_skip + 1)])
        else:
            hidden = encoded.last_hidden_state
        if weighting is not None:
            factors = [
                [1.0, *part, *[1.0] * (self._window - 1 - len(part))]
                for part in (weights[start : start + room] for start in range(0, len(chunks) * room, room))
            ]
            hidden = hidden * torch.tensor(factors, device=hidden.device, dtype=hidden.dtype)[..., None]
        return hidden.flatten(0, 1)


def match_by_windows(
    prompt: EncodedPrompt, negative: EncodedPrompt, *, window: EncodedPrompt
) -> tuple[EncodedPrompt, EncodedPrompt]:
    """Two prompts with the same number of tokens: `window`, the encoded empty prompt, follows the shorter one."""

    def lengthened(short: EncodedPrompt, tokens: int) -> EncodedPrompt:
        missing = (tokens - short.tokens) // window.tokens
        hidden = torch.cat([short.hidden_states, *[window.hidden_states] * missing])
        return replace(short, hidden_states=hidden)

    tokens = max(prompt.tokens, negative.tokens)
    return lengthened(prompt, tokens), lengthened(negative, tokens)
