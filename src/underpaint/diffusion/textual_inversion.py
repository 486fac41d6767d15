"""Textual inversion: new words for the text encoders of a model (Gal et al., arXiv:2208.01618).

Their vectors take the place of what the encoder's own table gives, for one prompt at a time. Neither the table nor the
tokenizer is changed, so jobs with other words, or none, share a model.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from underpaint.diffusion.embedding_names import triggers_pattern
from underpaint.diffusion.family import ModelLoadError

_TENSOR_OF_ENCODER = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
"""In files for models with two encoders."""

_FIRST_MARK, _LAST_MARK = 0xF0000, 0xFFFFD
"""Characters for private use, which stand for triggers while a prompt is read: no syntax of weights knows them."""
_MARK = re.compile(f"([{chr(_FIRST_MARK)}-{chr(_LAST_MARK)}])")


@dataclass(frozen=True, kw_only=True, eq=False)
class TextualInversion:
    """An embedding for the text encoders of one model. Equal only to itself."""

    vectors: Mapping[str, Tensor]
    """By text encoder, such as "text_encoder_2": (vectors, width), with as many vectors for each."""

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(vectors.nbytes for vectors in self.vectors.values())


class NewWord(NamedTuple):
    """An embedding as one request has it."""

    inversion: TextualInversion
    triggers: tuple[str, ...]
    """What stands for it in prompts, at least one."""
    weight: float
    """By which its vectors are multiplied."""


@runtime_checkable
class TakesEmbeddings(Protocol):
    """A family whose models take textual inversions."""

    def load_inversion(self, location: Path) -> TextualInversion:
        """Read a safetensors file.

        Raises:
            ModelLoadError: the file is damaged, or for another architecture.
        """
        ...

    def with_words(self, words: Sequence[NewWord]) -> AbstractContextManager[None]:
        """A context within which prompts may have these."""
        ...


def load_inversion(location: Path, encoders: Mapping[str, Any]) -> TextualInversion:
    """Read an embedding: `emb_params`, `clip_l` and `clip_g`, or one tensor under the name of its word.

    Args:
        location: a safetensors file.
        encoders: the text encoders of the model, by diffusers' names.

    Raises:
        ModelLoadError: the file is damaged, or for another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(location)
    except (OSError, ValueError, SafetensorError) as failure:
        raise ModelLoadError(f"{location.name} cannot be read: {failure}") from failure
    vectors: dict[str, Tensor] = {}
    for encoder_name, encoder in encoders.items():
        table = encoder.get_input_embeddings().weight
        name = next(iter(tensors), "")
        if "clip_g" in tensors or len(tensors) != 1 or list(encoders) != ["text_encoder"]:
            name = _TENSOR_OF_ENCODER[encoder_name]
        found = tensors.get(name)
        if found is None:
            raise ModelLoadError(
                f"{location.name} cannot be used as an embedding of this model: it has no {name}"
            )
        found = found[None] if found.dim() == 1 else found
        if found.dim() != 2 or not len(found) or found.shape[1] != table.shape[1]:
            raise ModelLoadError(
                f"{location.name} cannot be used as an embedding of this model: {name} is of shape "
                f"{tuple(found.shape)}, and the text encoder's vectors are {table.shape[1]} wide"
            )
        if not torch.isfinite(found.float()).all():
            raise ModelLoadError(f"{location.name}: {name} holds values that are not numbers")
        vectors[encoder_name] = found.to(table.device, table.dtype)
    if len({len(each) for each in vectors.values()}) > 1:
        raise ModelLoadError(f"{location.name} has not as many vectors for one text encoder as for the other")
    return TextualInversion(vectors=vectors)


class Vocabulary:
    """Words that a text encoder knows besides its own, under identifiers that follow on those of its own."""

    def __init__(self, words: Sequence[NewWord] = (), *, network: str = "", first: int = 0) -> None:
        """Give each trigger its identifiers.

        Args:
            words: one named twice has the sum of both weights; of unlike ones with one trigger, the vectors follow on
                each other.
            network: the text encoder, within `TextualInversion.vectors`.
            first: one more than the highest identifier of the encoder's own.
        """
        weights: dict[str, dict[TextualInversion, float]] = {}
        for inversion, triggers, weight in words:
            for trigger in {trigger.lower() for trigger in triggers}:
                of_trigger = weights.setdefault(trigger, {})
                of_trigger[inversion] = of_trigger.get(inversion, 0.0) + weight
        self._first = first
        self._ids: dict[str, list[int]] = {}
        self._marks = {f"trigger{number}": chr(_FIRST_MARK + number) for number in range(len(weights))}
        self._pattern = triggers_pattern(list(weights))
        table: list[Tensor] = []
        for mark, inversions in zip(self._marks.values(), weights.values(), strict=True):
            vectors = [
                vector
                for inversion, weight in inversions.items()
                for vector in inversion.vectors[network] * weight
            ]
            self._ids[mark] = [first + len(table) + number for number in range(len(vectors))]
            table += vectors
        self._table = torch.stack(table) if table else None

    def marked(self, prompt: str) -> str:
        """The prompt with one character in place of each trigger, before its weights are read."""
        if not self._marks:
            return prompt
        return self._pattern.sub(lambda found: self._marks[found.lastgroup or ""], _MARK.sub("", prompt))

    def ids(self, text: str, tokenize: Callable[[str], list[int]]) -> list[int]:
        """Identifiers of a marked text; `tokenize` knows the encoder's own words."""
        if not self._marks:
            return tokenize(text)
        return [
            each
            for part in _MARK.split(text)
            if part
            for each in (self._ids[part] if part in self._ids else tokenize(part))
        ]

    @contextmanager
    def looked_up(self, encoder: Any, ids: Tensor) -> Iterator[Tensor]:
        """Within this context the encoder knows the identifiers, (rows, tokens), of the new words.

        Yields:
            Identifiers to call it with: its own, with any one in the places of new words. The highest would not do,
            for encoders with an old configuration take that for the end of the prompt.
        """
        places = ids >= self._first
        if self._table is None or not bool(places.any()):
            yield ids
            return
        vectors = self._table[ids[places] - self._first]

        def put(module: Any, arguments: Any, output: Tensor) -> Tensor:
            changed = output.clone()
            changed[places] = vectors
            return changed

        hook = encoder.get_input_embeddings().register_forward_hook(put)
        try:
            yield ids.masked_fill(places, 0)
        finally:
            hook.remove()
