"""The image encoder that an IP-Adapter needs, which is not in its file."""

from collections.abc import Iterator
from pathlib import Path

from underpaint.catalog.entry import ModelEntry
from underpaint.catalog.errors import ModelNotInstalled, ModelNotRunnable, ModelRefused
from underpaint.catalog.safetensors_header import read_header
from underpaint.diffusion.ip_adapter_names import encoder_width, fits

USUAL_NAME = "image_encoder"
"""Of its folder."""


def image_encoder_of(entry: ModelEntry, location: Path) -> Path:
    """The folder of the image encoder that an IP-Adapter was trained with.

    It is the one that the entry names, or the first of the right width beside the adapter's file, or in a folder beside
    that: where the repository of the published adapters has them.

    Args:
        entry: of the adapter.
        location: its file.

    Raises:
        ModelNotInstalled: there is none of the right width.
        ModelNotRunnable: the file is damaged, or no IP-Adapter.
    """
    subject = f"model {entry.air} ({entry.name})"
    try:
        shapes = {name: tensor.shape for name, tensor in read_header(location).tensors.items()}
    except ModelRefused as refusal:
        raise ModelNotRunnable(f"{subject}: {str(refusal).replace(str(location), 'its file')}") from None
    width = encoder_width(shapes)
    if width is None:
        raise ModelNotRunnable(f"{subject}: its file has no projection of a kind that is known")
    said = entry.files.config if entry.files is not None else None
    for folder in [Path(said)] if said is not None else _usual_places(location):
        if fits(folder, width):
            return folder
    key, value = width
    place = "named with it" if said is not None else "beside its file"
    raise ModelNotInstalled(
        f"{subject} needs the image encoder that it was trained with, and none whose {key} is {value} is {place}. Put "
        f"its folder there as {USUAL_NAME}, or name it: underpaint models add {entry.air} FILE --config FOLDER"
    )


def _usual_places(location: Path) -> Iterator[Path]:
    yield location.parent / USUAL_NAME
    yield location.parent.parent / USUAL_NAME
    yield from sorted(location.parent.parent.glob(f"*/{USUAL_NAME}"))
