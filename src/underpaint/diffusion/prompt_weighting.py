"""Weights within prompts: the two syntaxes of the API's `promptWeighting`.

`sdEmbeds` is the notation of the Stable Diffusion web interfaces: `(text)` weighs 1.1, `[text]` 1/1.1, both multiply
when they are nested, `(text:1.5)` weighs what it says, and a backslash takes a bracket's meaning away. The hidden
states of each token are multiplied by its weight.

`compel` is the notation, and the arithmetic, of the library of that name: `word++`, `(words)1.2`, `.blend()`, `.and()`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor

PromptWeighting = Literal["compel", "sdEmbeds"]
EMPHASIS = 1.1

_EXPLICIT = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)")


class PromptSyntaxError(ValueError):
    """A prompt breaks the rules of its syntax. The message is fit to show a client."""


def weighted_fragments(prompt: str) -> list[tuple[str, float]]:
    """The texts of a prompt in the `sdEmbeds` notation, each with its weight, in order; neighbors differ in weight.

    Every text has a reading: a bracket that is never closed acts to the end, and one that was never opened is a
    character like others.
    """
    fragments: list[tuple[str, float]] = []
    opened: list[tuple[str, int]] = []
    text: list[str] = []

    def end_fragment() -> None:
        if text:
            fragments.append(("".join(text), 1.0))
            text.clear()

    def weigh(start: int, factor: float) -> None:
        fragments[start:] = [(words, weight * factor) for words, weight in fragments[start:]]

    position = 0
    while position < len(prompt):
        character = prompt[position]
        explicit = _EXPLICIT.match(prompt, position) if opened and opened[-1][0] == "(" else None
        if character == "\\" and prompt[position + 1 : position + 2] in set("()[]\\"):
            text.append(prompt[position + 1])
            position += 2
            continue
        if explicit:
            end_fragment()
            weigh(opened.pop()[1], float(explicit[1]))
            position = explicit.end()
            continue
        if character in "([":
            end_fragment()
            opened.append((character, len(fragments)))
        elif opened and (opened[-1][0] + character) in ("()", "[]"):
            end_fragment()
            weigh(opened.pop()[1], EMPHASIS if character == ")" else 1 / EMPHASIS)
        else:
            text.append(character)
        position += 1
    end_fragment()
    while opened:
        bracket, start = opened.pop()
        weigh(start, EMPHASIS if bracket == "(" else 1 / EMPHASIS)
    return _merged(fragments)


def _merged(fragments: list[tuple[str, float]]) -> list[tuple[str, float]]:
    merged: list[tuple[str, float]] = []
    for words, weight in fragments:
        if merged and merged[-1][1] == weight:
            merged[-1] = (merged[-1][0] + words, weight)
        else:
            merged.append((words, weight))
    return merged


def compel_hidden_states(
    tokenizer: Any,
    text_encoder: Any,
    prompt: str,
    *,
    words: Callable[[str], list[int]],
    run: Callable[[Tensor, Tensor | None], Any],
    layer: Callable[[Any], Tensor],
) -> Tensor:
    """Hidden states, (tokens, width), of a prompt of any length in compel's notation.

    Args:
        tokenizer: of the encoder.
        text_encoder: a CLIPTextModel, with or without a projection.
        prompt: in compel's notation.
        words: identifiers of a text, without begin and end.
        run: calls the encoder with identifiers, (rows, tokens), and the attention mask.
        layer: takes the hidden states that count, (rows, tokens, width), out of what the encoder returns.

    Raises:
        PromptSyntaxError: compel cannot read the prompt.
    """
    from compel import Compel

    compel = Compel(
        _WordTokenizer(tokenizer, words),
        _LayeredEncoder(text_encoder, run, layer),
        truncate_long_prompts=False,
        dtype_for_device_getter=lambda _device: text_encoder.dtype,
    )
    try:
        prompts = compel.parse_prompt_string(prompt)
    except Exception as failure:
        # Its parser fails in many ways, and all of them are the prompt's fault.
        raise PromptSyntaxError(f"the prompt is not valid in compel's syntax: {failure}") from failure
    encoded: Tensor = compel.build_conditioning_tensor_for_conjunction(prompts)[0]
    return encoded[0]


class _WordTokenizer:
    """A tokenizer that knows more words than its own."""

    def __init__(self, tokenizer: Any, words: Callable[[str], list[int]]) -> None:
        self._tokenizer = tokenizer
        self._words = words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        begin, end = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        return {"input_ids": [[begin, *self._words(text), end] for text in texts]}


class _LayeredEncoder:
    """A text encoder that gives the hidden states of one layer as its last, for compel, which knows few layers."""

    def __init__(
        self,
        text_encoder: Any,
        run: Callable[[Tensor, Tensor | None], Any],
        layer: Callable[[Any], Tensor],
    ) -> None:
        self._text_encoder = text_encoder
        self._run = run
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._text_encoder, name)

    def __call__(self, ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        encoded = self._run(ids, attention_mask)
        encoded.last_hidden_state = self._layer(encoded)
        return encoded
