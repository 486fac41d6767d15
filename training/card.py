"""The model card: what the model is, what it was trained on and whom to credit, and what was measured."""

import json
from collections import defaultdict
from collections.abc import Mapping

from training.captions import COLOR_PHRASES, WEATHER_PHRASES
from training.manifest import DRAWINGS, PACKAGES, PHOTOS
from training.styles import STYLES

HEAD = """# Underpaint's embedded model

A small latent diffusion model for image-to-image: it repaints a photo in a style, a season, a kind of weather or a
color that the prompt names, on two processor cores. It is in the folder layout of a Stable Diffusion pipeline of
`diffusers` (UNet, AutoencoderTiny, CLIP text encoder and tokenizer, DDIM scheduler with v-prediction).

It knows the words of its training captions and little else. It does not know people, brands or places by name, cannot
write text, and at strengths near 1 it invents simple scenes rather than what a large model would.

## What it was taught

Styles: {styles}.
Seasons, times of day and weather: {weather}.
Color words: {colors}.

The pairs it learned from were rendered: a source picture, and the same picture changed by a program for each style and
weather. Sources are procedural scenes, drawings, and the photos below. The renderers are part of the training code.

## Sources and credits

All are free for anyone to use; the licences are those that the packages state.
"""


def model_card(report: Mapping[str, object] | None = None) -> str:
    """The card as Markdown, with the figures of an evaluation where there is one."""
    text = HEAD.format(
        styles=spoken_list(STYLES), weather=spoken_list(WEATHER_PHRASES), colors=spoken_list(COLOR_PHRASES)
    )
    text += "\n".join(credit_lines())
    if report is not None:
        figures = json.dumps(report, indent=1)
        text += f"\n\n## Measured on held-out photos\n\n```json\n{figures}\n```"
    return text + "\n"


def spoken_list(names: Mapping[str, object]) -> str:
    """Names with commas and blanks instead of underscores."""
    return ", ".join(name.replace("_", " ") for name in names)


def credit_lines() -> list[str]:
    """One line for each package and licence, with its authors."""
    credited: dict[tuple[str, str], set[str]] = defaultdict(set)
    pictures: dict[tuple[str, str], int] = defaultdict(int)
    for photo in PHOTOS:
        credited[photo.package, photo.licence].add(photo.author)
        pictures[photo.package, photo.licence] += 1
    lines = []
    for (key, licence), authors in sorted(credited.items()):
        package = PACKAGES[key]
        count = pictures[key, licence]
        noun = "picture" if count == 1 else "pictures"
        names = ", ".join(sorted(authors))
        lines.append(
            f"- {package.name} {package.version} ({package.registry}), {licence}, {count} {noun}: {names}"
        )
    for drawings in DRAWINGS:
        package = PACKAGES[drawings.package]
        lines.append(
            f"- {package.name} {package.version} ({package.registry}), {drawings.licence}, drawings: {drawings.author}"
        )
    return lines
