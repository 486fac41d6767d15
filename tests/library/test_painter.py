"""The library face, on the embedded model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import underpaint
from tests.checkpoints import EMBEDDED_CHECKPOINT
from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.controlnets import write_controlnet
from tests.diffusion.test_lora import networks_of
from tests.embeddings import write_embedding
from tests.ip_adapters import write_image_encoder, write_ip_adapter
from tests.loras import write_lora
from tests.redux import write_redux
from underpaint.catalog import EMBEDDED
from underpaint.catalog.describe import NewModel, describe
from underpaint.images import read_parameters
from underpaint.library import Painter, Progress
from underpaint.settings import Settings


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A picture with shapes and colours, 192 x 128."""
    across, down = np.meshgrid(np.linspace(0, 1, 192), np.linspace(0, 1, 128))
    pixels = np.stack([across, down, np.hypot(across - 0.5, down - 0.5) < 0.3], axis=-1)
    return Image.fromarray((pixels * 255).astype(np.uint8))


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Painter]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), threads=1, executor="eager")
    with Painter(settings) as painter:
        yield painter


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean absolute difference per channel, 0 to 255."""
    return float(np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).mean())


def test_a_photo_becomes_a_picture_of_its_shape(painter: Painter, photo: Image.Image) -> None:
    [result] = painter.transform(photo, "charcoal sketch", steps=4, seed=1)
    assert result.image.mode == "RGB"
    width, height = result.image.size
    assert width / height == 192 / 128
    assert (result.seed, result.steps, result.effective_steps) == (1, 4, 2)


def test_strength_zero_gives_the_photo_back(painter: Painter, photo: Image.Image) -> None:
    [result] = painter.transform(photo, "charcoal sketch", strength=0, width=192, height=128)
    assert result.effective_steps == 0
    assert result.image.tobytes() == photo.tobytes()


def test_more_strength_changes_more(painter: Painter, photo: Image.Image) -> None:
    size = {"width": 192, "height": 128, "steps": 10, "seed": 1}
    results = painter.transform_many(
        [{"photo": photo, "prompt": "charcoal sketch", "strength": s, **size} for s in (0.1, 0.5, 0.9)]
    )
    distances = [difference(result.image, photo) for [result] in results]
    assert distances == sorted(distances)
    assert distances[0] < 0.8 * distances[2]


def test_the_prompt_matters(painter: Painter, photo: Image.Image) -> None:
    size = {"width": 192, "height": 128, "steps": 10, "seed": 1, "strength": 0.7}
    [charcoal], [neon] = painter.transform_many(
        [{"photo": photo, "prompt": prompt, **size} for prompt in ("charcoal sketch", "cyberpunk neon")]
    )
    assert difference(charcoal.image, neon.image) > 20


def test_the_same_request_gives_the_same_bytes(painter: Painter, photo: Image.Image) -> None:
    first, second = (
        painter.transform(photo, "watercolor", steps=4, seed=5, width=128, height=128) for _ in range(2)
    )
    assert first[0].image.tobytes() == second[0].image.tobytes()


def test_every_result_can_be_made_again_from_its_seed(painter: Painter, photo: Image.Image) -> None:
    results = painter.transform(photo, "watercolor", results=3, width=128, height=128, steps=4)
    assert [result.seed - results[0].seed for result in results] == [0, 1, 2]
    [again] = painter.transform(photo, "watercolor", seed=results[2].seed, width=128, height=128, steps=4)
    largest = np.abs(np.asarray(again.image, np.int16) - np.asarray(results[2].image, np.int16)).max()
    assert largest <= 1


def test_progress_counts_every_picture_to_its_end(painter: Painter, photo: Image.Image) -> None:
    seen: list[Progress] = []
    painter.transform(photo, "watercolor", steps=4, results=2, width=128, height=128, on_progress=seen.append)
    for index in range(2):
        steps = [progress.step for progress in seen if progress.result == index]
        assert steps == sorted(steps)
        assert steps[-1] == 2
        assert [progress for progress in seen if progress.result == index][-1].stage == "done"


def test_text_to_image(painter: Painter) -> None:
    [result] = painter.transform(None, "sunset", steps=2)
    assert result.image.size == (EMBEDDED.defaults.width_px, EMBEDDED.defaults.height_px)
    assert result.strength is None


def test_saved_pictures_carry_their_parameters(painter: Painter, photo: Image.Image, tmp_path: Path) -> None:
    [result] = painter.transform(photo, "watercolor", steps=2, width=128, height=128)
    result.save(tmp_path / "painting.webp")
    parameters = read_parameters((tmp_path / "painting.webp").read_bytes())
    assert parameters is not None
    assert parameters["seed"] == result.seed
    with pytest.raises(ValueError, match=r"\.jpg, \.png or \.webp"):
        result.save(tmp_path / "painting.tiff")


@pytest.mark.parametrize("form", ["path", "text", "bytes"])
def test_photos_are_taken_in_every_form(
    painter: Painter, photo: Image.Image, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "photo.png"
    photo.save(path)
    forms: dict[str, str | bytes | Path] = {"path": path, "text": str(path), "bytes": path.read_bytes()}
    [result] = painter.transform(forms[form], "x", strength=0, width=192, height=128)
    assert result.image.tobytes() == photo.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": 1.2}, "strength must lie between 0 and 1"),
        ({"steps": 0}, "steps must lie between 1 and 100"),
        ({"width": 100, "height": 128}, "width must be a multiple of 64"),
        ({"scheduler": "Nonsense"}, "Nonsense"),
        ({"seed": 0}, "seed must lie"),
    ],
)
def test_bad_arguments_are_named(
    painter: Painter, photo: Image.Image, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        painter.transform_many([{"photo": photo, "prompt": "x", **arguments}])


def test_an_unknown_model_is_named(painter: Painter, photo: Image.Image) -> None:
    with pytest.raises(LookupError, match="nobody:1@1"):
        painter.transform(photo, "x", model="nobody:1@1")


def test_a_painter_outside_of_its_context_says_how_to_use_it(photo: Image.Image) -> None:
    with pytest.raises(RuntimeError, match="with Painter"):
        Painter().transform(photo, "x")


def test_the_package_offers_its_face_without_loading_it() -> None:
    assert underpaint.transform is not None
    assert set(underpaint.__all__) >= {"transform", "Painter"}
    with pytest.raises(AttributeError):
        underpaint.nothing  # noqa: B018


def test_passes_run_one_after_the_other(painter: Painter, photo: Image.Image) -> None:
    passes: list[dict[str, object]] = [
        {"strength": 0.5},
        {"strength": 0.25, "prompt": "", "steps": 8, "guidance_scale": 1},
    ]
    [result] = painter.transform(photo, "charcoal sketch", steps=4, seed=1, passes=passes)
    [first] = painter.transform(photo, "charcoal sketch", steps=4, seed=1, strength=0.5)
    assert (result.steps, result.effective_steps) == (12, 4)
    assert len(result.parameters["passes"]) == 2  # type: ignore[arg-type]
    assert difference(result.image, first.image) > 0


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ([{"steps": 4}, {"strength": 2}], r"passes\[1\]: 'strength' must be a number between 0 and 1"),
        ([{"steps": "many"}], r"passes\[0\]: 'steps' must be an integer"),
        ([{"seed": 1}], r"passes\[0\] has no 'seed'"),
        ([{"steps": 4}] * 21, "at most 20"),
    ],
)
def test_passes_are_checked(
    painter: Painter, photo: Image.Image, passes: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        painter.transform(photo, "charcoal sketch", passes=passes)


def test_a_photo_is_continued_beyond_its_sides(painter: Painter, photo: Image.Image) -> None:
    outpaint = {"left": 64, "bottom": 64}
    [result] = painter.transform(
        photo, "charcoal sketch", steps=4, seed=1, width=256, height=192, outpaint=outpaint
    )
    assert result.image.size == (256, 192)
    assert result.image.crop((64, 0, 256, 128)).tobytes() == photo.tobytes()

    [fitted] = painter.transform(photo, "charcoal sketch", strength=0, outpaint={"right": 64, "blur": 8})
    width, height = fitted.image.size
    assert (width - 64) / height == 192 / 128


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"outpaint": {"left": 65}}, "outpaint: 'left' must be an integer"),
        ({"outpaint": {"blur": 8}}, "at least one side"),
        ({"outpaint": {"port": 64}}, "outpaint"),
        ({"outpaint": {"left": 64}, "mask": Image.new("L", (64, 64))}, "makes the mask itself"),
        ({"outpaint": {"left": 1984}, "width": 2112}, "at most"),
        ({"mask_margin": 64}, "needs a mask"),
        ({"mask_margin": 31, "mask": Image.new("L", (64, 64))}, "mask_margin must lie between 32 and 128"),
    ],
)
def test_margins_are_checked(
    painter: Painter, photo: Image.Image, wishes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        painter.transform(photo, "charcoal sketch", **wishes)  # type: ignore[arg-type]


def test_what_a_mask_paints_can_be_worked_on_enlarged(painter: Painter, photo: Image.Image) -> None:
    mask = Image.new("L", photo.size)
    mask.paste(255, (80, 50, 110, 80))
    same = {"steps": 4, "seed": 1, "width": 192, "height": 128, "mask": mask}
    [plain] = painter.transform(photo, "charcoal sketch", **same)  # type: ignore[arg-type]
    [zoomed] = painter.transform(photo, "charcoal sketch", **same, mask_margin=32)  # type: ignore[arg-type]
    kept = np.asarray(mask) == 0
    for made in (plain, zoomed):
        assert np.array_equal(np.asarray(made.image)[kept], np.asarray(photo)[kept])
    assert difference(plain.image, zoomed.image) > 0
    assert zoomed.parameters["maskMargin"] == 32


def test_loras_act_with_their_weights(painter: Painter, photo: Image.Image, tmp_path: Path) -> None:
    networks = networks_of(EMBEDDED_CHECKPOINT)
    for number in (1, 2):
        file = write_lora(tmp_path / f"{number}.safetensors", networks, seed=number)
        new = NewModel(air=f"test:{number}@1", source=str(file), architecture=EMBEDDED.architecture)
        painter.catalog.installed.add(describe(new))

    wishes: dict[str, object] = {"photo": photo, "prompt": "charcoal sketch", "steps": 4, "seed": 1}
    none, one, both = (
        result
        for [result] in painter.transform_many(
            [
                wishes,
                {**wishes, "loras": {"test:1@1": 1.0}},
                {**wishes, "loras": {"test:1@1": 1.0, "test:2@1": -1.5}},
            ]
        )
    )
    assert difference(none.image, one.image) > 0.5
    assert difference(one.image, both.image) > 0.5
    assert both.parameters["lora"] == [
        {"model": "test:1@1", "weight": 1.0},
        {"model": "test:2@1", "weight": -1.5},
    ]
    with pytest.raises(ValueError, match="loras must lie between -4 and 4"):
        painter.transform(photo, "charcoal sketch", loras={"test:1@1": 5.0})
    with pytest.raises(LookupError, match="not installed"):
        painter.transform(photo, "charcoal sketch", loras={"civitai:3@4": 1.0})


def test_guides_lead_with_their_weights(painter: Painter, photo: Image.Image, tmp_path: Path) -> None:
    write_image_encoder(tmp_path / "image_encoder")
    file = write_ip_adapter(tmp_path / "adapter.safetensors", networks_of(EMBEDDED_CHECKPOINT)["unet"])
    new = NewModel(air="test:5@1", source=str(file), architecture=EMBEDDED.architecture)
    painter.catalog.installed.add(describe(new))
    photo.save(tmp_path / "guide.png")

    guide = underpaint.Guide(model="test:5@1", photos=[photo, tmp_path / "guide.png"])
    wishes: dict[str, object] = {"photo": photo, "prompt": "charcoal sketch", "steps": 4, "seed": 1}
    none, led, weaker = (
        result
        for [result] in painter.transform_many(
            [wishes, {**wishes, "guides": [guide]}, {**wishes, "guides": [replace(guide, weight=-0.5)]}]
        )
    )
    assert difference(none.image, led.image) > 0.5
    assert difference(led.image, weaker.image) > 0.5
    adapters = weaker.parameters["ipAdapters"]
    assert isinstance(adapters, list)
    assert (adapters[0]["model"], adapters[0]["weight"]) == ("test:5@1", -0.5)
    for wrong, said in (({"weight": 1.5}, "weight"), ({"photos": []}, "photos")):
        with pytest.raises(ValueError, match=f"{said} must lie between"):
            painter.transform(photo, "charcoal sketch", guides=[replace(guide, **wrong)])
    with pytest.raises(LookupError, match="not installed"):
        painter.transform(photo, "charcoal sketch", guides=[replace(guide, model="runware:55@1")])


def test_an_editing_model_works_after_references(
    painter: Painter, photo: Image.Image, kontext_checkpoint: Path
) -> None:
    small = {"width_px": 64, "height_px": 64, "steps": 2}
    new = NewModel(
        air="test:16@1", source=str(kontext_checkpoint), architecture="fluxkontextdev", defaults=small
    )
    painter.catalog.installed.add(describe(new))
    wishes: dict[str, object] = {"photo": None, "prompt": "a red house", "seed": 1, "model": "test:16@1"}
    [edited], [other], [begun] = painter.transform_many(
        [
            {**wishes, "references": [photo]},
            {**wishes, "references": [ImageOps.invert(photo)]},
            {**wishes, "references": [photo], "photo": photo, "width": 128, "height": 128, "strength": 0.5},
        ]
    )
    assert edited.image.size == (64, 48)
    assert difference(edited.image, other.image) > 0.5
    assert (edited.strength, edited.parameters["referenceImages"]) == (None, 1)
    assert (begun.image.size, begun.strength) == ((128, 128), 0.5)
    with pytest.raises(ValueError, match="references must lie between 0 and 2"):
        painter.transform(None, "a red house", model="test:16@1", references=[photo] * 3)
    with pytest.raises(ValueError, match="references are for editing models"):
        painter.transform(photo, "charcoal sketch", references=[photo])


def test_redux_takes_pictures_and_no_weights(
    painter: Painter, photo: Image.Image, flux_checkpoint: Path, tmp_path: Path
) -> None:
    small = {"width_px": 64, "height_px": 64, "steps": 2}
    installed = painter.catalog.installed
    installed.add(describe(NewModel(air="test:17@1", source=str(flux_checkpoint), defaults=small)))
    installed.add(describe(NewModel(air="test:18@1", source=str(write_redux(tmp_path / "redux")))))
    guide = underpaint.Guide(model="test:18@1", photos=[photo, ImageOps.invert(photo)])
    wishes: dict[str, object] = {"photo": None, "prompt": "", "seed": 1, "model": "test:17@1"}
    [led], [averaged] = painter.transform_many(
        [
            {**wishes, "width": 128, "height": 128, "guides": [guide]},
            {**wishes, "width": 128, "height": 128, "guides": [replace(guide, combine_method="average")]},
        ]
    )
    assert difference(led.image, averaged.image) > 0
    with pytest.raises(ValueError, match="have no weight"):
        painter.transform(None, "", model="test:17@1", guides=[replace(guide, weight=0.5)])


def test_maps_lay_out_what_is_painted(painter: Painter, photo: Image.Image, tmp_path: Path) -> None:
    unet = networks_of(EMBEDDED_CHECKPOINT)["unet"]
    net = write_controlnet(tmp_path / "net", unet)
    new = NewModel(air="test:8@1", source=str(net), architecture=EMBEDDED.architecture, category="controlnet")
    painter.catalog.installed.add(describe(new))
    photo.save(tmp_path / "map.png")

    control = underpaint.Control(model="test:8@1", photo=tmp_path / "map.png")
    wishes: dict[str, object] = {"photo": photo, "prompt": "charcoal sketch", "steps": 4, "seed": 1}
    none, followed, weaker = (
        result
        for [result] in painter.transform_many(
            [
                wishes,
                {**wishes, "controls": [control]},
                {**wishes, "controls": [replace(control, weight=0.3, end=0.5, mode="prompt")]},
            ]
        )
    )
    assert difference(none.image, followed.image) > 0.5
    assert difference(followed.image, weaker.image) > 0.5
    assert weaker.parameters["controlNet"] == [
        {"model": "test:8@1", "weight": 0.3, "endStepPercentage": 50, "controlMode": "prompt"}
    ]
    for wrong, said in (
        ({"weight": 1.5}, "weight must lie between"),
        ({"start": -0.1}, "start must lie between"),
        ({"start": 0.5, "end": 0.5}, "end must be greater than start"),
        ({"mode": "map"}, "mode must be one of"),
    ):
        with pytest.raises(ValueError, match=said):
            painter.transform(photo, "charcoal sketch", controls=[replace(control, **wrong)])
    with pytest.raises(ValueError, match="controls must lie between 0 and 8"):
        painter.transform(photo, "charcoal sketch", controls=[control] * 9)
    with pytest.raises(LookupError, match="not installed"):
        painter.transform(photo, "charcoal sketch", controls=[replace(control, model="civitai:38784@44716")])


def test_a_refiner_takes_the_last_steps_over(painter: Painter, sdxl_checkpoint: Path, tmp_path: Path) -> None:
    refining = write_sdxl_checkpoint(tmp_path / "refiner", refiner=True)
    small = {"width_px": 128, "height_px": 128}
    for air, folder in (("test:20@1", sdxl_checkpoint), ("test:21@1", refining)):
        new = NewModel(air=air, source=str(folder), defaults=small)
        painter.catalog.installed.add(describe(new))
    wishes: dict[str, object] = {
        "photo": None,
        "prompt": "a red house",
        "seed": 1,
        "model": "test:20@1",
        "steps": 4,
    }
    [alone], [refined] = painter.transform_many(
        [wishes, {**wishes, "refiner": "test:21@1", "refiner_start": 0.5}]
    )
    assert difference(alone.image, refined.image) > 0.5
    assert refined.parameters["refiner"] == {"model": "test:21@1", "startStep": 3}
    for more, said in (
        ({"model": EMBEDDED.air}, "goes with SDXL models only"),
        ({"passes": [{}]}, "within one pass"),
        ({"steps": 1}, "needs at least 2 steps"),
        ({"refiner_start": 1.0}, "refiner_start must lie between"),
    ):
        with pytest.raises(ValueError, match=said):
            painter.transform_many([{**wishes, "refiner": "test:21@1", **more}])
    with pytest.raises(LookupError, match="is no refiner"):
        painter.transform_many([{**wishes, "refiner": "test:20@1"}])


def test_embeddings_act_where_they_are_named(painter: Painter, photo: Image.Image, tmp_path: Path) -> None:
    width = networks_of(EMBEDDED_CHECKPOINT)["text_encoder"].get_input_embeddings().embedding_dim
    file = write_embedding(tmp_path / "inky.safetensors", width, vectors=3)
    new = NewModel(air="test:7@1", source=str(file), architecture=EMBEDDED.architecture)
    painter.catalog.installed.add(describe(new))

    wishes: dict[str, object] = {"photo": photo, "prompt": "an inky house", "steps": 4, "seed": 1}
    none, one = (
        result for [result] in painter.transform_many([wishes, {**wishes, "embeddings": {"test:7@1": 2.0}}])
    )
    assert difference(none.image, one.image) > 0.5
    assert one.parameters["embeddings"] == [{"model": "test:7@1", "weight": 2.0}]
    with pytest.raises(ValueError, match="embeddings must lie between -4 and 4"):
        painter.transform(photo, "inky", embeddings={"test:7@1": -5.0})
    with pytest.raises(LookupError, match="no prompt names: write 'inky'"):
        painter.transform(photo, "a pinky", embeddings={"test:7@1": 1.0})
    painter.transform(photo, "a house", passes=[{"prompt": "INKY", "steps": 2}], embeddings={"test:7@1": 1.0})
