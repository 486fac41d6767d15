"""Textual inversion embeddings: which words of the prompts they are."""

from collections.abc import Sequence
from pathlib import Path

from underpaint.catalog import Catalog, ModelEntry
from underpaint.catalog.additions import additional_model, embedding_triggers
from underpaint.catalog.errors import ModelNotRunnable
from underpaint.diffusion.embedding_names import is_named


def embedding_of(
    catalog: Catalog, air: str, *, checkpoint: ModelEntry, prompts: Sequence[str]
) -> tuple[ModelEntry, Path, tuple[str, ...]]:
    """An embedding, its file, and what stands for it in prompts.

    Raises:
        CatalogError: as `additional_model`, or no prompt names it, so that it would change nothing.
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
    return entry, location, triggers
