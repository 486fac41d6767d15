"""Models that act upon a checkpoint, such as LoRAs: do they suit it, and where is their file?"""

from pathlib import Path

from underpaint.catalog.catalog import Catalog
from underpaint.catalog.contents import acts_upon, contents_of
from underpaint.catalog.controlnets import controlnet_tensors
from underpaint.catalog.download import local_files
from underpaint.catalog.entry import Category, ModelEntry
from underpaint.catalog.errors import ModelNotRunnable, ModelRefused
from underpaint.catalog.safetensors_header import read_header
from underpaint.diffusion.embedding_names import token_of
from underpaint.diffusion.ip_adapter_names import is_for_faces_alone, is_redux
from underpaint.diffusion.lora_names import other_method


def additional_model(
    catalog: Catalog, air: str, category: Category, *, checkpoint: ModelEntry
) -> tuple[ModelEntry, Path]:
    """A model that is to act upon a checkpoint, and its file, which is downloaded first if it has not been. Of a
    ControlNet it may be a folder.

    Args:
        catalog: where it is looked up.
        air: its identifier.
        category: what it has to be.
        checkpoint: what it is to act upon.

    Raises:
        CatalogError: it is unknown, not installed, of another category, or for another architecture or checkpoint,
            or its file is damaged or holds something else.
        DownloadFailed: it could not be fetched.
    """
    entry = catalog.resolve(air, category)
    subject = f"model {entry.air} ({entry.name})"
    if not acts_upon(entry.architecture, checkpoint.architecture):
        raise ModelNotRunnable(
            f"{subject} is for {entry.architecture}, and {checkpoint.air} ({checkpoint.name}) is "
            f"{checkpoint.architecture}"
        )
    if entry.only_for not in (None, checkpoint.air):
        raise ModelNotRunnable(
            f"{subject} fits {entry.only_for} alone, and not {checkpoint.air} ({checkpoint.name})"
        )
    path = local_files(entry)
    try:
        tensors = controlnet_tensors(path) if category == "controlnet" else read_header(path).tensors
        found = contents_of(tensors).category
    except ModelRefused as refusal:
        # Its path on this machine is nothing for clients.
        raise ModelNotRunnable(f"{subject}: {str(refusal).replace(str(path), 'its file')}") from None
    if category == "lora" and (method := other_method(tensors)):
        raise ModelNotRunnable(f"{subject} is no plain LoRA, but {method}, which this version cannot use")
    if category == "ipadapter" and is_for_faces_alone(tensors):
        raise ModelNotRunnable(f"{subject} is a FaceID adapter, which this version cannot use")
    if category == "ipadapter" and acts_upon(entry.architecture, "flux1d") and not is_redux(tensors):
        raise ModelNotRunnable(f"{subject} is not Redux, the only one for FLUX that this version can use")
    if found != category:
        raise ModelNotRunnable(f"{subject}: its file holds no {category}")
    return entry, path


def embedding_triggers(entry: ModelEntry, path: Path) -> tuple[str, ...]:
    """What stands for an embedding in prompts: its trigger words, else the word in its file, else its name.

    Raises:
        ModelRefused: the file cannot be read any more.
    """
    words = tuple(word.strip() for word in entry.trigger_words.split(",") if word.strip())
    return words or (token_of(read_header(path).tensors) or entry.name,)
