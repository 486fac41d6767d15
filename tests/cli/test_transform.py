"""`underpaint transform`: which pictures it asks for, and where it puts them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import FakePainter, Outcome
from underpaint import Control, Guide, TransformFailed
from underpaint.images import read_parameters

Run = Callable[..., Outcome]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()} - {"photo.jpg"}


def test_the_picture_is_named_after_photo_and_seed(run: Run, folder: Path, painter: FakePainter) -> None:
    outcome = run("transform", "photo.jpg", "watercolor", "--seed", "7")

    assert outcome.code == 0
    assert outcome.output == "photo-7.png\n"
    assert "seed 7" in outcome.errors
    assert _names(folder) == {"photo-7.png"}


def test_the_picture_carries_its_parameters(run: Run, folder: Path, painter: FakePainter) -> None:
    run("transform", "photo.jpg", "watercolor", "--seed", "7")

    assert read_parameters((folder / "photo-7.png").read_bytes()) == {
        "positivePrompt": "watercolor",
        "seed": 7,
    }


def test_parameters_can_be_left_out(run: Run, folder: Path, painter: FakePainter) -> None:
    run("transform", "photo.jpg", "watercolor", "--seed", "7", "--no-embed-parameters")

    assert read_parameters((folder / "photo-7.png").read_bytes()) is None


def test_a_seed_is_drawn_and_printed_where_none_is_given(
    run: Run, folder: Path, painter: FakePainter
) -> None:
    outcome = run("transform", "photo.jpg", "watercolor")

    seed = painter.requests[0]["seed"]
    assert 1 <= seed < 2**32
    assert f"seed {seed}" in outcome.errors
    assert _names(folder) == {f"photo-{seed}.png"}


def test_options_reach_the_library_in_its_own_words(run: Run, painter: FakePainter) -> None:
    run(
        *("transform", "photo.jpg", "watercolor", "--strength", "0.4", "--steps", "30", "--cfg-scale", "5"),
        *("--scheduler", "Euler a", "--negative-prompt", "people", "--width", "128", "--height", "192"),
        *("--fit", "cover", "--model", "civitai:1@2", "--seed", "9"),
        *("--mask", "mask.png", "--lora", "civitai:3@4=-0.5", "--lora", "civitai:5@6"),
        *("--vae", "civitai:7@8", "--embedding", "civitai:9@1=0.5", "--reference", "other.jpg"),
        *("--refiner", "civitai:2@3", "--refiner-start", "0.7"),
    )

    assert painter.requests == [
        {
            "photo": Path("photo.jpg"),
            "prompt": "watercolor",
            "strength": 0.4,
            "seed": 9,
            "mask": Path("mask.png"),
            "mask_margin": None,
            "outpaint": None,
            "negative_prompt": "people",
            "steps": 30,
            "guidance_scale": 5.0,
            "scheduler": "Euler a",
            "width": 128,
            "height": 192,
            "fit": "cover",
            "strength_curve": "steps",
            "color_fix": None,
            "model": "civitai:1@2",
            "vae": "civitai:7@8",
            "loras": {"civitai:3@4": -0.5, "civitai:5@6": 1.0},
            "embeddings": {"civitai:9@1": 0.5},
            "refiner": "civitai:2@3",
            "refiner_start": 0.7,
            "references": [Path("other.jpg")],
            "guides": [],
            "controls": [],
            "passes": [],
        }
    ]


def test_an_editing_model_works_after_the_photo(run: Run, folder: Path, painter: FakePainter) -> None:
    outcome = run(
        *("transform", "photo.jpg", "at night", "--also", "in snow", "--edit", "--reference", "other.jpg"),
        *("--model", "runware:106@1", "--seed", "7"),
    )

    assert outcome.code == 0
    for request in painter.requests:
        assert (request["photo"], request["strength"]) == (None, None)
        assert request["references"] == [Path("photo.jpg"), Path("other.jpg")]
    assert _names(folder) == {"photo-7-1.png", "photo-7-2.png", "photo-7-sheet.png"}


def test_what_is_edited_has_no_strength(run: Run, painter: FakePainter) -> None:
    for option in (("--strength", "0.5"), ("--strengths", "0.3,0.5"), ("--passes", "0.5,0.3")):
        outcome = run("transform", "photo.jpg", "at night", "--edit", *option)
        assert outcome.code == 2
        assert "--edit does not begin with the photo" in outcome.errors
    assert painter.requests == []


def test_what_is_not_given_is_left_to_the_model(run: Run, painter: FakePainter) -> None:
    run("transform", "photo.jpg", "watercolor")

    [request] = painter.requests
    for name in ("strength", "steps", "guidance_scale", "scheduler", "width", "height", "model"):
        assert request[name] is None, name


def test_several_results_have_seeds_that_follow(run: Run, folder: Path, painter: FakePainter) -> None:
    run("transform", "photo.jpg", "watercolor", "--results", "3", "--seed", "7")

    assert [request["seed"] for request in painter.requests] == [7, 8, 9]
    assert _names(folder) == {"photo-7-1.png", "photo-7-2.png", "photo-7-3.png"}


def test_several_strengths_share_a_seed_and_make_a_sheet(
    run: Run, folder: Path, painter: FakePainter
) -> None:
    outcome = run("transform", "photo.jpg", "watercolor", "--strengths", "0.3, 0.5,0.9", "--seed", "7")

    assert [(request["strength"], request["seed"]) for request in painter.requests] == [
        (0.3, 7),
        (0.5, 7),
        (0.9, 7),
    ]
    assert _names(folder) == {"photo-7-1.png", "photo-7-2.png", "photo-7-3.png", "photo-7-sheet.png"}
    assert outcome.output.splitlines()[-1] == "photo-7-sheet.png"
    with Image.open(folder / "photo-7-sheet.png") as sheet:
        assert sheet.width > sheet.height


def test_further_prompts_are_further_rows_of_the_sheet(run: Run, folder: Path, painter: FakePainter) -> None:
    run(
        "transform",
        "photo.jpg",
        "one",
        "--also",
        "two",
        "--also",
        "three",
        "--strengths",
        "0.3,0.6",
        "--seed",
        "7",
    )

    assert [request["prompt"] for request in painter.requests] == [
        "one",
        "one",
        "two",
        "two",
        "three",
        "three",
    ]
    with Image.open(folder / "photo-7-sheet.png") as sheet:
        assert sheet.width < sheet.height * 2


@pytest.mark.parametrize(
    "name", ["painting.png", "painting.jpg", "painting.jpeg", "painting.webp", "PAINTING.JPG"]
)
def test_the_name_of_the_output_says_its_format(
    run: Run, folder: Path, painter: FakePainter, name: str
) -> None:
    assert run("transform", "photo.jpg", "watercolor", "-o", name).code == 0

    with Image.open(folder / name) as picture:
        assert picture.format == {"p": "PNG", "j": "JPEG", "w": "WEBP"}[name.lower().rpartition(".")[2][0]]


def test_a_folder_can_be_named(run: Run, folder: Path, painter: FakePainter) -> None:
    run("transform", "photo.jpg", "watercolor", "-o", "new/folder", "--format", "webp", "--seed", "7")

    assert _names(folder / "new" / "folder") == {"photo-7.webp"}


@pytest.mark.parametrize(
    "arguments",
    [("-o", "painting.gif"), ("-o", "painting.png", "--format", "jpg"), ("--strengths", "0.3;0.5")],
)
def test_a_wrong_output_is_refused_before_any_work(
    run: Run, painter: FakePainter, arguments: tuple[str, ...]
) -> None:
    assert run("transform", "photo.jpg", "watercolor", *arguments).code == 2
    assert painter.requests == []


def test_files_are_not_written_over(run: Run, folder: Path, painter: FakePainter) -> None:
    (folder / "painting.png").write_bytes(b"dear to me")

    outcome = run("transform", "photo.jpg", "watercolor", "-o", "painting.png")

    assert (outcome.code, outcome.errors) == (1, "error: painting.png exists; --force writes over it\n")
    assert painter.requests == []
    assert (folder / "painting.png").read_bytes() == b"dear to me"


def test_force_writes_over_files(run: Run, folder: Path, painter: FakePainter) -> None:
    (folder / "painting.png").write_bytes(b"not dear to me")

    assert run("transform", "photo.jpg", "watercolor", "-o", "painting.png", "--force").code == 0
    assert (folder / "painting.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_library_refuses_is_a_wrong_call(run: Run, painter: FakePainter) -> None:
    painter.failure = ValueError("width must be a multiple of 64")

    outcome = run("transform", "photo.jpg", "watercolor", "--width", "100")

    assert (outcome.code, outcome.errors) == (2, "error: width must be a multiple of 64\n")


def test_what_the_engine_cannot_do_is_a_failure(run: Run, folder: Path, painter: FakePainter) -> None:
    painter.failure = TransformFailed("there is not enough memory")

    outcome = run("transform", "photo.jpg", "watercolor")

    assert (outcome.code, outcome.errors) == (1, "error: there is not enough memory\n")
    assert _names(folder) == set()


def test_an_unknown_scheduler_is_answered_with_those_there_are(run: Run) -> None:
    outcome = run("transform", "photo.jpg", "watercolor", "--scheduler", "Eular")

    assert outcome.code == 2
    assert "Euler a" in outcome.errors


def test_the_embedded_model_paints(run: Run, folder: Path) -> None:
    arguments = (
        "transform",
        "photo.jpg",
        "charcoal sketch",
        "--steps",
        "2",
        "--width",
        "128",
        "--height",
        "128",
    )

    assert run(*arguments, "--seed", "7", "-o", "a.png").code == 0
    assert run(*arguments, "--seed", "7", "-o", "b.png").code == 0

    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    with Image.open(folder / "a.png") as picture:
        assert picture.size == (128, 128)


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("0.5,0.5,0.3", [{"strength": 0.5}, {"strength": 0.5}, {"strength": 0.3}]),
        (
            '[{"strength": 0.5}, {"positivePrompt": "snow", "CFGScale": 4}]',
            [{"strength": 0.5}, {"prompt": "snow", "guidance_scale": 4}],
        ),
    ],
)
def test_passes_reach_the_library(
    run: Run, painter: FakePainter, said: str, passes: list[dict[str, object]]
) -> None:
    assert run("transform", "photo.jpg", "watercolor", "--passes", said).code == 0
    assert painter.requests[0]["passes"] == passes


def test_a_lora_without_a_number_is_a_wrong_call(run: Run, painter: FakePainter) -> None:
    outcome = run("transform", "photo.jpg", "watercolor", "--lora", "civitai:3@4=much")
    assert outcome.code == 2
    assert "--lora: 'much' is no weight, such as civitai:3@4=0.8" in outcome.errors
    outcome = run("transform", "photo.jpg", "watercolor", "--embedding", "civitai:3@4=")
    assert outcome.code == 2
    assert "--embedding: '' is no weight, such as civitai:3@4=0.8" in outcome.errors


@pytest.mark.parametrize(
    "arguments",
    [("--passes", "0.5,x"), ("--passes", "[1]"), ("--passes", "[{"), ("--passes", "0.5", "--strength", "1")],
)
def test_passes_that_cannot_be_read_are_a_wrong_call(
    run: Run, painter: FakePainter, arguments: tuple[str, ...]
) -> None:
    outcome = run("transform", "photo.jpg", "watercolor", *arguments)
    assert outcome.code == 2
    assert "--passes" in outcome.errors


def test_guides_and_maps_reach_the_library(run: Run, painter: FakePainter) -> None:
    outcome = run(
        *("transform", "photo.jpg", "watercolor", "--guide", "runware:55@5=style.png"),
        *("--guide", "runware:55@6=a,b.png,photo=c.png,photo=d.png,weight=-0.5,weightType=ease_in"),
        *(
            "--control",
            "civitai:38784@44716=edges.png",
            "--control",
            "test:1@1=depth=2,x.png,mode=prompt,end=0.6",
        ),
    )
    assert outcome.code == 0
    [request] = painter.requests
    assert request["guides"] == [
        Guide(model="runware:55@5", photos=["style.png"]),
        Guide(model="runware:55@6", photos=["a,b.png", "c.png", "d.png"], weight=-0.5, weight_type="ease_in"),
    ]
    assert request["controls"] == [
        Control(model="civitai:38784@44716", photo="edges.png"),
        Control(model="test:1@1", photo="depth=2,x.png", mode="prompt", end=0.6),
    ]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--guide", "runware:55@5"),
        ("--guide", "=style.png"),
        ("--control", "test:1@1="),
        ("--control", "test:1@1=a.png,weight=much"),
        ("--guide", "runware:55@5=a.png,weight="),
    ],
)
def test_guides_and_maps_that_cannot_be_read_are_a_wrong_call(
    run: Run, painter: FakePainter, option: str, said: str
) -> None:
    outcome = run("transform", "photo.jpg", "watercolor", option, said)
    assert outcome.code == 2
    assert option in outcome.errors


def test_the_color_fix_reaches_the_library(run: Run, painter: FakePainter) -> None:
    assert run("transform", "photo.jpg", "watercolor", "--color-fix").code == 0
    assert painter.requests[0]["color_fix"] is True
    assert run("transform", "photo.jpg", "watercolor", "--no-color-fix").code == 0
    assert painter.requests[1]["color_fix"] is False


def test_the_curve_of_strength_reaches_the_library(run: Run, painter: FakePainter) -> None:
    assert run("transform", "photo.jpg", "watercolor", "--strength-curve", "perceptual").code == 0
    assert painter.requests[0]["strength_curve"] == "perceptual"
    assert run("transform", "photo.jpg", "watercolor", "--strength-curve", "smooth").code == 2


def test_margins_reach_the_library(run: Run, painter: FakePainter) -> None:
    assert run("transform", "photo.jpg", "watercolor", "--outpaint", "left=128, blur=16").code == 0
    assert painter.requests[0]["outpaint"] == {"left": 128, "blur": 16}
    assert run("transform", "photo.jpg", "x", "--mask", "mask.png", "--mask-margin", "64", "-f").code == 0
    assert painter.requests[1]["mask_margin"] == 64


@pytest.mark.parametrize("said", ["left", "left=x", "64,64"])
def test_margins_that_cannot_be_read_are_a_wrong_call(run: Run, painter: FakePainter, said: str) -> None:
    outcome = run("transform", "photo.jpg", "watercolor", "--outpaint", said)
    assert outcome.code == 2
    assert "--outpaint" in outcome.errors
