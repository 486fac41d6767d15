"""`underpaint demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from underpaint.cli.console import UsageError, errors, output
from underpaint.cli.options import with_settings
from underpaint.cli.sheets import Variant, make_pictures, make_sheet
from underpaint.settings import EffectiveSettings

MODEL = "underpaint:1@2"
EXAMPLE_PHOTO = Path("examples/photo.jpg")

STYLES = {
    "watercolor painting": "watercolor",
    "charcoal sketch": "charcoal",
    "neon cyberpunk": "neon",
    "comic book style": "comic",
    "autumn colors": "autumn",
}
"""Prompts, and what their files are called. All are styles that the embedded model was trained on."""

STRENGTHS = (0.3, 0.5, 0.7, 0.9)


@with_settings("device", "dtype", "threads")
def demo(
    photo: Path = EXAMPLE_PHOTO,
    /,
    *,
    output_path: Annotated[Path, Parameter(("--output", "-o"))] = Path("out"),
    seed: Annotated[int, Parameter(validator=Number(gte=1, lt=2**63))] = 1,
    effective: EffectiveSettings,
) -> None:
    """Transform a photo in several styles and strengths with the embedded model, and lay them out on one sheet.

    Args:
        photo: PNG, JPG or WEBP file.
        output_path: Folder for the pictures; files of an earlier demo are written over.
        seed: Of all pictures.
    """
    if not photo.is_file():
        raise UsageError(f"there is no {photo} here; name a photo of yours: underpaint demo PHOTO")
    variants = [
        Variant(prompt=prompt, strength=strength, seed=seed) for prompt in STYLES for strength in STRENGTHS
    ]
    errors.print(
        f"{photo}: {len(STYLES)} styles, {len(STRENGTHS)} strengths, with the embedded model", markup=False
    )
    painted = make_pictures(photo, variants, settings=effective.settings, model=MODEL)
    output_path.mkdir(parents=True, exist_ok=True)
    for variant, picture in zip(variants, painted.pictures, strict=True):
        picture.save(output_path / f"{STYLES[variant.prompt]}-{variant.strength:.1f}.png")
    sheet_path = output_path / "sheet.jpg"
    sheet = make_sheet(
        photo,
        variants,
        painted.pictures,
        title="Underpaint: one photo, five styles, four strengths",
        footer=f"Model {MODEL}, seed {seed}.",
    )
    sheet.save(sheet_path, quality=90)
    errors.print(f"{len(variants)} pictures in {painted.seconds:.1f} seconds:", markup=False)
    output.out(f"{output_path}/", highlight=False)
    output.out(str(sheet_path), highlight=False)
