"""Textual inversion embeddings: which words of the prompts they are."""

from collections.abc import Sequence
from pathlib import Path

from underpaint.catalog import Catalog, ModelEntry
from underpaint.catalog.additions import additional_model, embedding_triggers
from underpaint.catalog.errors import ModelNotRunnable
from underpaint.catalog.safetensors_header import read_header
from underpaint.diffusion.embedding_names import is_named, times_named

MOST_VECTORS = 3000
"""That one embedding may put into one prompt: about as many as a prompt of the greatest length has words of its own. A
single letter may stand for dozens of vectors, and the memory of a pass grows with every one."""


def embedding_of(
    catalog: Catalog, air: str, *, checkpoint: ModelEntry, prompts: Sequence[str]
) -> tuple[ModelEntry, Path, tuple[str, ...]]:
    """An embedding, its file, and what stands for it in prompts.

    Raises:
        CatalogError: as `additional_model`; or no prompt names it, so that it would change nothing; or one names it so
            often that it would have more than `MOST_VECTORS` of its vectors.
        DownloadFailed: it could not be fetched.
    """
    entry, location = additional_model(catalog, air, "embeddings", checkpoint=checkpoint)
    triggers = embedding_triggers(entry, location)
    if not any(is_named(prompt, triggers) for prompt in prompts):
        raise ModelNotRunnable(
            f"model {entry.air} ({entry.name}) is an embedding that no prompt names: write "
            f"{' or '.join(repr(trigger) for trigger in triggers)} where it is to act, in the positive or the negative "
            "prompt"
        )
    vectors = max(
        spec.shape[0] if len(spec.shape) > 1 else 1 for spec in read_header(location).tensors.values()
    )
    times = max(times_named(prompt, triggers) for prompt in prompts)
    if times * vectors > MOST_VECTORS:
        raise ModelNotRunnable(
            f"model {entry.air} ({entry.name}) is an embedding of {vectors} vectors that a prompt names {times} times; "
            f"at most {MOST_VECTORS} vectors fit into one prompt"
        )
    return entry, location, triggers
