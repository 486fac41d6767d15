"""Prompts of any length through a CLIP text encoder, window by window, so that no word is lost."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from underpaint.diffusion.encoded import EncodedPrompt
from underpaint.diffusion.placement import bring, placed
from underpaint.diffusion.prompt_weighting import PromptWeighting, compel_hidden_states, weighted_fragments
from underpaint.diffusion.textual_inversion import NewWord, Vocabulary


class ClipText:
    """A CLIP text encoder and its tokenizer."""

    def __init__(
        self,
        tokenizer: Any,
        encoder: Any,
        *,
        device: torch.device,
        penultimate: bool = False,
        pooled: str = "text_embeds",
    ) -> None:
        """Move the encoder to its device.

        Args:
            tokenizer: of the encoder.
            encoder: a CLIPTextModel, or a CLIPTextModelWithProjection, which pools prompts too.
            device: where it goes.
            penultimate: whether its last layer, and the normalization after it, are always left out.
            pooled: where it puts what it pools, if it does.
        """
        self._tokenizer = tokenizer
        self._encoder: Any = placed(encoder, device).eval()
        self._device = device
        self._penultimate = penultimate
        self._pooled_name = pooled
        self._window = int(tokenizer.model_max_length)
        self._vocabulary = Vocabulary()

    @contextmanager
    def with_words(self, words: Sequence[NewWord], network: str) -> Iterator[None]:
        """A context within which prompts may have new words; `network` is the encoder's name among their vectors."""
        before = self._vocabulary
        first = self._encoder.get_input_embeddings().num_embeddings
        self._vocabulary = Vocabulary(words, network=network, first=first)
        try:
            yield
        finally:
            self._vocabulary = before

    @torch.inference_mode()
    def encode(self, prompt: str, *, clip_skip: int, weighting: PromptWeighting | None) -> EncodedPrompt:
        """Hidden states of a prompt; one within one window gives what diffusers gives.

        Weights act on the hidden states. What is pooled is the first window of the prompt, without weights.

        Args:
            prompt: any text, also empty.
            clip_skip: how many of the encoder's last layers to leave out beyond those that always are.
            weighting: syntax of the weights within the prompt; None for plain text.

        Raises:
            PromptSyntaxError: the prompt breaks the rules of its syntax.
        """
        bring(self._encoder)
        prompt = self._vocabulary.marked(prompt)
        if weighting == "compel":
            hidden = compel_hidden_states(
                self._tokenizer,
                self._encoder,
                prompt,
                words=self._words,
                run=self._call,
                layer=lambda encoded: self._layer(encoded, clip_skip),
            )
            # compel, too, pools the prompt as it is written.
            encoded = self._run([self._words(prompt)[: self._room]])
            return EncodedPrompt(hidden_states=hidden, pooled=self._pooled(encoded))
        fragments = weighted_fragments(prompt) if weighting == "sdEmbeds" else [(prompt, 1.0)]
        words: list[int] = []
        weights: list[float] = []
        for text, weight in fragments:
            words += self._words(text)
            weights += [weight] * (len(words) - len(weights))
        room = self._room
        chunks = [words[start : start + room] for start in range(0, len(words), room)] or [[]]
        encoded = self._run(chunks)
        hidden = self._layer(encoded, clip_skip)
        if weighting is not None:
            factors = [
                [1.0, *part, *[1.0] * (self._window - 1 - len(part))]
                for part in (weights[start : start + room] for start in range(0, len(chunks) * room, room))
            ]
            hidden = hidden * torch.tensor(factors, device=hidden.device, dtype=hidden.dtype)[..., None]
        return EncodedPrompt(hidden_states=hidden.flatten(0, 1), pooled=self._pooled(encoded))

    @property
    def _room(self) -> int:
        """Tokens of a window between its begin and end marks."""
        return self._window - 2

    def _words(self, text: str) -> list[int]:
        def own(part: str) -> list[int]:
            ids: list[int] = self._tokenizer(part, add_special_tokens=False, verbose=False).input_ids
            return ids

        return self._vocabulary.ids(text, own)

    def _run(self, chunks: Sequence[Sequence[int]]) -> Any:
        begin, end, pad = (
            self._tokenizer.bos_token_id,
            self._tokenizer.eos_token_id,
            self._tokenizer.pad_token_id,
        )
        room = self._room
        ids = torch.tensor([[begin, *chunk, end, *[pad] * (room - len(chunk))] for chunk in chunks])
        mask = torch.tensor([[1] * (len(chunk) + 2) + [0] * (room - len(chunk)) for chunk in chunks])
        uses_mask = getattr(self._encoder.config, "use_attention_mask", False)
        return self._call(ids.to(self._device), mask.to(self._device) if uses_mask else None)

    def _call(self, ids: Tensor, mask: Tensor | None) -> Any:
        with self._vocabulary.looked_up(self._encoder, ids) as known:
            return self._encoder(known, attention_mask=mask, output_hidden_states=True)

    def _layer(self, encoded: Any, clip_skip: int) -> Tensor:
        hidden: Tensor
        if self._penultimate:
            hidden = encoded.hidden_states[-(clip_skip + 2)]
        elif clip_skip:
            norm = getattr(self._encoder, "text_model", self._encoder).final_layer_norm
            hidden = norm(encoded.hidden_states[-(clip_skip + 1)])
        else:
            hidden = encoded.last_hidden_state
        return hidden

    def _pooled(self, encoded: Any) -> Tensor | None:
        pooled: Tensor | None = getattr(encoded, self._pooled_name, None)
        return None if pooled is None else pooled[0]


def match_by_windows(
    prompt: EncodedPrompt, negative: EncodedPrompt, *, window: Callable[[], EncodedPrompt]
) -> tuple[EncodedPrompt, EncodedPrompt]:
    """Two prompts with the same number of tokens: `window`, the encoded empty prompt, follows the shorter one.

    It is made only where one is shorter, which is seldom.
    """
    if prompt.tokens == negative.tokens:
        return prompt, negative
    empty = window()

    def lengthened(short: EncodedPrompt, tokens: int) -> EncodedPrompt:
        missing = (tokens - short.tokens) // empty.tokens
        hidden = torch.cat([short.hidden_states, *[empty.hidden_states] * missing])
        return replace(short, hidden_states=hidden)

    tokens = max(prompt.tokens, negative.tokens)
    return lengthened(prompt, tokens), lengthened(negative, tokens)


def joined(encoded: Sequence[EncodedPrompt], *, dtype: torch.dtype) -> EncodedPrompt:
    """One prompt as several encoders have it, side by side. What is pooled is the last encoder's.

    Encoders of one family share their vocabulary, so that a prompt has as many tokens for each.
    """
    pooled = encoded[-1].pooled
    return EncodedPrompt(
        hidden_states=torch.cat([each.hidden_states for each in encoded], dim=1).to(dtype),
        pooled=None if pooled is None else pooled.to(dtype),
    )
