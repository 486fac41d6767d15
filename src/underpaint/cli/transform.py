"""`underpaint transform`."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from underpaint.cli.console import CommandFailed, UsageError, errors, output
from underpaint.cli.described import controls, guides
from underpaint.cli.options import with_settings
from underpaint.cli.sheets import Variant, make_pictures, make_sheet
from underpaint.settings import EffectiveSettings

Format = Literal["png", "jpg", "webp"]
_FORMAT_OF_SUFFIX: dict[str, Format] = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp"}


@with_settings("alias", "data_dir", "default_model", "device", "dtype", "threads", "embed_parameters")
def transform(
    photo: Path,
    prompt: str,
    /,
    *,
    strength: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None,
    strengths: str | None = None,
    strength_curve: Literal["steps", "perceptual"] = "steps",
    color_fix: bool | None = None,
    passes: str | None = None,
    also: Annotated[list[str] | None, Parameter(negative=())] = None,
    mask: Path | None = None,
    mask_margin: Annotated[int | None, Parameter(validator=Number(gte=32, lte=128))] = None,
    outpaint: str | None = None,
    negative_prompt: Annotated[str, Parameter(show_default=False)] = "",
    steps: Annotated[int | None, Parameter(validator=Number(gte=1, lte=100))] = None,
    cfg_scale: Annotated[float | None, Parameter(validator=Number(gte=0, lte=50))] = None,
    scheduler: str | None = None,
    seed: Annotated[int | None, Parameter(validator=Number(gte=1, lt=2**63))] = None,
    results: Annotated[int, Parameter(validator=Number(gte=1, lte=20))] = 1,
    width: int | None = None,
    height: int | None = None,
    fit: Literal["stretch", "cover", "contain"] = "stretch",
    model: str | None = None,
    vae: str | None = None,
    lora: Annotated[list[str] | None, Parameter(negative=())] = None,
    embedding: Annotated[list[str] | None, Parameter(negative=())] = None,
    refiner: str | None = None,
    refiner_start: Annotated[float, Parameter(validator=Number(gte=0.01, lte=0.99))] = 0.8,
    edit: Annotated[bool, Parameter(negative=())] = False,
    reference: Annotated[list[Path] | None, Parameter(negative=())] = None,
    guide: Annotated[list[str] | None, Parameter(negative=())] = None,
    control: Annotated[list[str] | None, Parameter(negative=())] = None,
    output_path: Annotated[Path | None, Parameter(("--output", "-o"))] = None,
    format: Format | None = None,
    force: Annotated[bool, Parameter(("--force", "-f"), negative=())] = False,
    effective: EffectiveSettings,
) -> None:
    """Transform a photo after a prompt, and write the pictures to files.

    With several strengths or prompts, a labelled contact sheet is written as well. Nothing is uploaded. A hub is
    contacted only for what is not downloaded yet: a model that comes from one, and, of a checkpoint that is one file
    and was added without --config, its configuration, its tokenizer and the networks that the file lacks.

    Args:
        photo: PNG, JPG or WEBP file.
        prompt: What the picture should become.
        strength: How much of the photo is given up: 0 returns it, 1 keeps nothing of it. By default the model's.
        strengths: Several strengths with commas between, such as 0.3,0.5,0.7,0.9.
        strength_curve: What strength is a share of: the steps, or, with FLUX.1 and Stable Diffusion 3, of what there is
            to see, where it means about what it means for Stable Diffusion 1.5.
        color_fix: Give the picture the photo's colors back in the end, in its large areas. By default after several
            passes of strengths up to 0.3 in which nothing leads.
        passes: Several passes, each from what the one before left: their strengths, such as 0.5,0.4,0.3, or a JSON
            array as the API has it, such as '[{"strength": 0.5}, {"positivePrompt": "oil painting"}]'.
        also: A further prompt, made with the same seeds; can be given several times.
        mask: Picture of what is repainted: white is, black is kept to the byte, grey blends. By default all of it.
        mask_margin: Work on what the mask repaints at the full size, with so many pixels around it, 32 to 128.
        outpaint: How the photo is continued beyond its sides, in pixels, such as left=128,right=128,blur=16; multiples
            of 64, but for the blur, up to 32 pixels that the new part fades into the old one.
        negative_prompt: What the picture should not show.
        steps: Steps of a full run, 1 to 100; the share that strength says is run. By default the model's.
        cfg_scale: How closely the prompt is followed, 0 to 50; 0 and 1 switch guidance off. By default the model's.
        scheduler: Sampling algorithm, by the API's name, such as "DPM++ 2M Karras". By default the model's.
        seed: Makes the result repeatable. By default drawn, and printed.
        results: How many pictures of each kind, with seeds that follow one another.
        width: Of the picture in pixels, a multiple of 64. By default what suits the model and the photo's shape.
        height: Of the picture in pixels, a multiple of 64.
        fit: How a photo of another shape fills the picture.
        model: Identifier of the model. By default the setting default_model.
        vae: Identifier of a VAE in place of the model's own.
        lora: Identifier of a LoRA, with its weight from -4 to 4 after an equals sign, such as civitai:82098@87153=0.8;
            can be given several times. By default the weight is 1.
        embedding: Identifier of a textual inversion embedding, with its weight like a LoRA's; can be given several
            times. It acts where its word stands in a prompt.
        refiner: Identifier of a refiner, which takes the last steps over from an SDXL model.
        refiner_start: Share of the steps before the refiner's.
        edit: The photo is what an editing model, such as FLUX.1 Kontext (runware:106@1), works after, and not what it
            begins with.
        reference: A further picture that an editing model works after; can be given several times.
        guide: Identifier of an IP-Adapter and a picture by which it leads the result, such as runware:55@5=style.png;
            can be given several times. After commas may follow photo=FILE for further pictures, weight=0.6, and the
            other members of the API's ipAdapters by their names.
        control: Identifier of a ControlNet and the map that it lays the result out by, such as
            civitai:38784@44716=edges.png; can be given several times. After commas may follow weight=0.8, start=0.1 and
            end=0.6 as shares of the steps, and mode=prompt or mode=controlnet for what is to count for more.
        output_path: File, or folder, to write to. By default files named after the photo and the seed, in the
            working directory. Of several pictures, each gets a number.
        format: Of the files. By default what the name of the output says, or PNG.
        force: Write over existing files.
    """
    if passes is not None and (strength is not None or strengths is not None):
        raise UsageError("--passes say their own strengths; leave --strength and --strengths out")
    if edit and (strength is not None or strengths is not None or passes is not None):
        raise UsageError(
            "--edit does not begin with the photo; leave --strength, --strengths and --passes out"
        )
    own_passes = [] if passes is None else _passes(passes)
    variants = _variants(
        [prompt, *(also or [])],
        [strength] if strengths is None else _numbers(strengths),
        range(first := seed or 1 + secrets.randbelow(2**32 - 1), first + results),
    )
    with_sheet = len({(each.prompt, each.strength) for each in variants}) > 1
    targets = _targets(photo, variants, output_path, format, with_sheet=with_sheet)
    _check_free(targets.all, force=force)
    try:
        painted = make_pictures(
            None if edit else photo,
            variants,
            settings=effective.settings,
            mask=mask,
            mask_margin=mask_margin,
            outpaint=None if outpaint is None else _margins(outpaint),
            strength_curve=strength_curve,
            color_fix=color_fix,
            negative_prompt=negative_prompt,
            steps=steps,
            guidance_scale=cfg_scale,
            scheduler=scheduler,
            width=width,
            height=height,
            fit=fit,
            model=model,
            vae=vae,
            loras=_weights(lora or []),
            embeddings=_weights(embedding or [], "--embedding"),
            refiner=refiner,
            refiner_start=refiner_start,
            references=[*([photo] if edit else []), *(reference or [])],
            guides=guides(guide or []),
            controls=controls(control or []),
            passes=own_passes,
        )
    except ValueError as failure:
        raise _explained(failure) from None
    targets.folder.mkdir(parents=True, exist_ok=True)
    for picture, path in zip(painted.pictures, targets.pictures, strict=True):
        picture.save(path)
    if targets.sheet is not None:
        make_sheet(photo, variants, painted.pictures).save(targets.sheet)
    for path in targets.all:
        output.out(str(path), highlight=False)
    seeds = f"seed {first}" if results == 1 else f"seeds {first} to {first + results - 1}"
    errors.print(f"{seeds}, {painted.seconds:.1f} seconds", markup=False)


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """The files that will be written."""

    folder: Path
    pictures: Sequence[Path]
    sheet: Path | None

    @property
    def all(self) -> list[Path]:
        return [*self.pictures, *([self.sheet] if self.sheet else [])]


def _numbers(text: str, option: str = "--strengths") -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number <= 1 for number in numbers):
        raise UsageError(f"{option}: {text!r} is not a list of numbers from 0 to 1, such as 0.3,0.5,0.7")
    return numbers if option == "--passes" else list(dict.fromkeys(numbers))


def _margins(text: str) -> dict[str, int]:
    try:
        return {name.strip(): int(number) for name, number in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise UsageError(f"--outpaint: {text!r} does not look like left=128,right=128,blur=16") from None


def _weights(named: Sequence[str], option: str = "--lora") -> dict[str, float]:
    """Weights by identifier."""
    weights: dict[str, float] = {}
    for each in named:
        air, said, weight = each.partition("=")
        try:
            weights[air] = float(weight) if said else 1.0
        except ValueError:
            raise UsageError(f"{option}: {weight!r} is no weight, such as {air}=0.8") from None
    return weights


def _passes(text: str) -> list[dict[str, Any]]:
    """The passes by the library's names."""
    if not text.lstrip().startswith("["):
        return [{"strength": number} for number in _numbers(text, "--passes")]
    try:
        read = json.loads(text)
    except ValueError as failure:
        raise UsageError(f"--passes: this is not JSON: {failure}") from None
    renamed = {"positivePrompt": "prompt", "negativePrompt": "negative_prompt", "CFGScale": "guidance_scale"}
    if not all(isinstance(each, dict) for each in read):
        raise UsageError("--passes: the array may hold nothing but objects")
    return [{renamed.get(name, name): value for name, value in each.items()} for each in read]


def _variants(
    prompts: Sequence[str], strengths: Sequence[float | None], seeds: Sequence[int]
) -> list[Variant]:
    return [
        Variant(prompt=prompt, strength=strength, seed=seed)
        for prompt in prompts
        for seed in seeds
        for strength in strengths
    ]


def _targets(
    photo: Path, variants: Sequence[Variant], wanted: Path | None, format: Format | None, *, with_sheet: bool
) -> _Targets:
    is_file = wanted is not None and not wanted.is_dir() and wanted.suffix != ""
    folder = wanted.parent if wanted and is_file else wanted or Path()
    stem = wanted.stem if wanted and is_file else f"{photo.stem}-{variants[0].seed}"
    said = _FORMAT_OF_SUFFIX.get(wanted.suffix.lower()) if wanted and is_file else None
    if wanted and is_file and said is None:
        raise UsageError(f"{wanted}: pictures are written as .png, .jpg or .webp")
    if said and format and said != format:
        raise UsageError(f"--format {format} does not fit the name {wanted}")
    suffix = f".{format or said or 'png'}" if not (wanted and is_file) else wanted.suffix
    if len(variants) == 1:
        return _Targets(folder=folder, pictures=[folder / f"{stem}{suffix}"], sheet=None)
    digits = len(str(len(variants)))
    numbered = [folder / f"{stem}-{number:0{digits}}{suffix}" for number in range(1, len(variants) + 1)]
    sheet = folder / f"{stem}-sheet{suffix}" if with_sheet else None
    return _Targets(folder=folder, pictures=numbered, sheet=sheet)


def _check_free(paths: Sequence[Path], *, force: bool) -> None:
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise CommandFailed(f"{taken[0]} exists; --force writes over it")


def _explained(failure: ValueError) -> Exception:
    """A refused argument is a wrong call; a refused photo is a failure, and says so itself."""
    from underpaint.studio.requests import UnknownScheduler

    if isinstance(failure, UnknownScheduler):
        return UsageError(f"--scheduler: {failure}; it has {', '.join(failure.known)}")
    return UsageError(str(failure)) if type(failure) is ValueError else failure
