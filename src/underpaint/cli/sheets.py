"""Pictures of one photo under several prompts, strengths and seeds, and the sheet that shows them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from underpaint.cli.progress import StepBar
from underpaint.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from underpaint import Transformed


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One picture to make."""

    prompt: str
    strength: float | None
    """None for the model's own."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class Painted:
    """What came out."""

    pictures: Sequence["Transformed"]
    """In the order of the variants."""
    seconds: float
    """How long it took, loading included."""


def make_pictures(
    photo: Path | None, variants: Sequence[Variant], *, settings: Settings, **common: Any
) -> Painted:
    """Make one picture for each variant, together, under a progress bar.

    Args:
        photo: the seed picture; None for none.
        variants: what differs between the pictures.
        settings: of the engine.
        common: what does not differ, by the names of `underpaint.transform`.
    """
    from underpaint import Painter

    requests = [
        {
            "photo": photo,
            "prompt": each.prompt,
            "strength": each.strength,
            "seed": each.seed,
            **common,
        }
        for each in variants
    ]
    with StepBar(len(variants)) as bar, Painter(settings) as painter:
        pictures = [
            result for results in painter.transform_many(requests, on_progress=bar) for result in results
        ]
        return Painted(pictures=pictures, seconds=bar.elapsed_s)


def make_sheet(
    photo: Path,
    variants: Sequence[Variant],
    pictures: Sequence["Transformed"],
    *,
    title: str | None = None,
    footer: str | None = None,
) -> "Image.Image":
    """A sheet with a row for each prompt and seed and a column for each strength; the photo stands before each row."""
    from underpaint.images import LabelledImage, contact_sheet, decode_image

    original = decode_image(photo.read_bytes())
    strengths = list(dict.fromkeys(each.strength for each in pictures))
    rows: dict[tuple[str, int], list[LabelledImage]] = {}
    for variant, picture in zip(variants, pictures, strict=True):
        row = rows.setdefault((variant.prompt, variant.seed), [LabelledImage(image=original)])
        label = f"{picture.effective_steps} of {picture.steps} steps"
        row.append(LabelledImage(image=picture.image, label=label))
    several_seeds = len({seed for _, seed in rows}) > 1
    return contact_sheet(
        list(rows.values()),
        title=title,
        column_headings=["the photo", *map(_heading, strengths)],
        row_headings=[f"{prompt}, seed {seed}" if several_seeds else prompt for prompt, seed in rows],
        footer=footer,
    )


def _heading(strength: float | None) -> str:
    """Of a column; without a strength the picture is not begun with the photo."""
    return "edited" if strength is None else f"strength {strength:g}"
