"""Runs the recipes of `docs/guide` on a server of its own, and writes their pictures anew: `make guide`.

With names of pages, such as "strength", only theirs.
"""

import asyncio
import base64
import json
import re
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from underpaint.database import open_database
from underpaint.images.contact_sheet import LabelledImage, contact_sheet
from underpaint.settings import Settings
from underpaint.studio.caller import Caller
from underpaint.studio.studio import Studio, open_studio

DOCS = Path(__file__).parent
PHOTO = DOCS.parent / "examples" / "photo.jpg"
OTHER_PHOTO = DOCS.parent / "tests" / "photos" / "coffee.jpg"
BASE_URL = "http://guide"
MOST_ACROSS = 6


@dataclass(frozen=True, kw_only=True)
class Step:
    """One task of a recipe and what came out."""

    task: dict[str, Any]
    """As the page shows it."""
    seed: Image.Image
    """The seed image, as it was before it was fitted."""
    result: dict[str, Any]
    image: Image.Image


PLACEHOLDERS = {"<the photo>": PHOTO, "<another photo>": OTHER_PHOTO}
"""What stands in tasks for pictures that are there before; others are called `<imageUUID of result 1>` and so on."""


def photo(path: Path = PHOTO) -> Image.Image:
    """The picture that every recipe begins with, or another one."""
    with Image.open(path) as opened:
        return opened.convert("RGB")


def recipes() -> list[Path]:
    """The pages that hold tasks."""
    return [path for path in sorted((DOCS / "guide").glob("*.md")) if path.name != "README.md"]


def tasks_of(page: Path) -> list[dict[str, Any]]:
    """The tasks that a page shows, in order."""
    blocks = re.findall(r"^```json\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [task for block in blocks for task in json.loads(block)]


async def cook(studio: Studio, page: Path) -> list[Step]:
    """Run a page's tasks one after the other, with the pictures that their placeholders stand for.

    Raises:
        RuntimeError: a task was refused or failed; the message is its error.
    """
    steps: list[Step] = []
    for task in tasks_of(page):
        sent = {**_filled(task, steps), "taskUUID": str(uuid.uuid4()), "outputFormat": "PNG"}
        reply = await studio.perform(sent, Caller(owner="guide", base_url=BASE_URL))
        if reply.errors:
            raise RuntimeError(f"{page.name}: {reply.errors[0][1]}")
        [result] = reply.data
        url = result.get("imageURL") or result["guideImageURL"]
        opened = await studio.open_image(*url.rpartition("/")[2].split("."))
        if opened is None:
            raise RuntimeError(f"{page.name}: {url} leads nowhere")
        steps.append(
            Step(
                task=task,
                seed=_seed(task["inputImage" if "inputImage" in task else "seedImage"], steps),
                result=dict(result),
                image=Image.open(BytesIO(opened.data)).convert("RGB"),
            )
        )
    return steps


def _filled(value: Any, steps: Sequence[Step]) -> Any:
    """A task, or a part of it, with the pictures in place of what stands for them."""
    match value:
        case dict():
            return {name: _filled(each, steps) for name, each in value.items()}
        case list():
            return [_filled(each, steps) for each in value]
        case str() if (before := _step(value, steps)) is not None:
            return before.result["imageUUID"]
        case str() if value in PLACEHOLDERS:
            return base64.b64encode(PLACEHOLDERS[value].read_bytes()).decode()
    return value


def _step(placeholder: str, steps: Sequence[Step]) -> Step | None:
    reference = re.fullmatch(r"<imageUUID of result (\d+)>", placeholder)
    return steps[int(reference[1]) - 1] if reference else None


def _seed(placeholder: str, steps: Sequence[Step]) -> Image.Image:
    before = _step(placeholder, steps)
    return before.image if before else photo(PLACEHOLDERS[placeholder])


def sheet(steps: Sequence[Step]) -> Image.Image:
    """The photos and what came of them, side by side, each with what was said."""
    cells = [LabelledImage(image=photo(), label="the photo")]
    if any("<another photo>" in json.dumps(step.task) for step in steps):
        cells.append(LabelledImage(image=photo(OTHER_PHOTO), label="another photo"))
    cells += [LabelledImage(image=step.image, label=_label(step.task)) for step in steps]
    # Some in one row, and many in rows of three.
    across = len(cells) if len(cells) <= MOST_ACROSS else 3
    return contact_sheet(
        [cells[first : first + across] for first in range(0, len(cells), across)], cell_px=300
    )


def _label(task: dict[str, Any]) -> str:
    if "preProcessorType" in task:
        return str(task["preProcessorType"])
    words = f"not {task['negativePrompt']}" if "negativePrompt" in task else task["positivePrompt"]
    words = "no words" if words == "__BLANK__" else words
    strengths = [each["strength"] for each in task["passes"]] if "passes" in task else [task["strength"]]
    return f"{words}: {', '.join(map(str, strengths))}"


async def _write(names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        database = open_database(settings.data_dir)
        async with open_studio(settings, database) as studio:
            for page in recipes():
                if names and page.stem not in names:
                    continue
                picture = DOCS / "images" / "guide" / f"{page.stem}.jpg"
                picture.parent.mkdir(exist_ok=True)
                sheet(await cook(studio, page)).save(picture, quality=82, optimize=True)
                print(f"wrote {picture.relative_to(DOCS.parent)}")
        database.dispose()


if __name__ == "__main__":
    sys.exit(asyncio.run(_write(sys.argv[1:])))
