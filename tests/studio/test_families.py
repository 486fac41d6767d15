"""What a family cannot do is refused before a task is accepted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import write_checkpoint
from tests.checkpoints_flux import write_flux_checkpoint
from tests.checkpoints_sd3 import write_sd3_checkpoint
from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.studio.conftest import Workplace, error_of, half_white, item_of, transformation
from underpaint.catalog import Catalog, NewModel, describe
from underpaint.diffusion.strength_curve import FlowLevels, perceptual_share
from underpaint.images import read_parameters
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux_checkpoint(tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture
def with_flux(workplace: Workplace, flux: Path) -> Workplace:
    installed = Catalog(workplace.settings, runnable=RUNNABLE_ARCHITECTURES).installed
    installed.add(describe(NewModel(air="runware:107@1", source=str(flux))))
    return workplace


HALF = half_white((96, 64))


@pytest.fixture
def with_tools(workplace: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    installed = Catalog(workplace.settings, runnable=RUNNABLE_ARCHITECTURES).installed
    folder = tmp_path_factory.mktemp("flux")
    for air, channels, pipeline in (
        ("runware:102@1", 288, "FluxFillPipeline"),
        ("runware:104@1", 32, "FluxControlPipeline"),
    ):
        written = write_flux_checkpoint(folder / pipeline, in_channels=channels, pipeline=pipeline)
        installed.add(describe(NewModel(air=air, source=str(written))))
    return workplace


async def test_tools_of_flux_take_no_strength(with_tools: Workplace) -> None:
    for task in (
        transformation(model="runware:102@1", strength=0.2, maskImage=HALF),
        transformation(model="runware:104@1", strength=0.0),
    ):
        item_of(await with_tools.perform(task))
    assert [job.strength for job in with_tools.engine.jobs] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"model": "runware:102@1"}, "missingMaskImage", "maskImage"),
        ({"model": "runware:102@1", "seedImage": None}, "missingSeedImage", "seedImage"),
        (
            {"model": "runware:102@1", "maskImage": HALF, "passes": [{}]},
            "incompatibleParameters",
            ["passes", "model"],
        ),
        (
            {"model": "runware:102@1", "maskImage": HALF, "maskMargin": 32},
            "incompatibleParameters",
            ["maskMargin", "model"],
        ),
        ({"model": "runware:104@1", "seedImage": None}, "missingSeedImage", "seedImage"),
        ({"model": "runware:104@1", "maskImage": HALF}, "incompatibleParameters", ["maskImage", "model"]),
    ],
)
async def test_what_tools_need_and_have_no_use_for_is_said(
    with_tools: Workplace, changes: dict[str, Any], code: str, parameter: str | list[str]
) -> None:
    error = error_of(await with_tools.perform(transformation(**changes)))
    assert (error["code"], error["parameter"]) == (code, parameter)


async def test_flux_has_the_defaults_of_its_authors(with_flux: Workplace) -> None:
    item_of(await with_flux.perform(transformation(model="runware:107@1", steps=None, CFGScale=None)))
    [job] = with_flux.engine.jobs
    assert (job.model.architecture, job.steps, job.guidance_scale, job.scheduler) == (
        "flux1d",
        28,
        4.5,
        "Default",
    )


@pytest.mark.parametrize(
    ("changes", "code", "allowed"),
    [
        ({"promptWeighting": "compel"}, "invalidPromptWeighting", ["sdEmbeds"]),
        ({"clipSkip": 1}, "invalidClipSkip", [0]),
        ({"scheduler": "DDIM"}, "invalidScheduler", None),
        ({"refiner": {"model": "civitai:101055@128080"}}, "incompatibleParameters", None),
    ],
)
async def test_what_flux_does_not_have_is_refused(
    with_flux: Workplace, changes: dict[str, Any], code: str, allowed: list[object] | None
) -> None:
    error = error_of(await with_flux.perform(transformation(model="runware:107@1", **changes)))
    assert error["code"] == code
    if allowed is not None:
        assert error["allowedValues"] == allowed
    assert with_flux.engine.jobs == []


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"acceleration": "high"}, "acceleration"),
        ({"acceleration": "high", "acceleratorOptions": {"deepCacheInterval": 2}}, "acceleration"),
        ({"acceleratorOptions": {"deepCache": True}}, "acceleratorOptions.deepCache"),
        ({"acceleration": "low", "acceleratorOptions": {"deepCache": True}}, "acceleratorOptions.deepCache"),
    ],
)
async def test_shortcuts_of_unets_are_refused_by_the_name_that_asked_for_them(
    with_flux: Workplace, asked: dict[str, Any], name: str
) -> None:
    error = error_of(await with_flux.perform(transformation(model="runware:107@1", **asked)))
    assert (error["code"], error["parameter"]) == ("incompatibleParameters", [name, "model"])
    assert f"'{name}'" in error["message"]


@pytest.fixture(scope="module")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd3_checkpoint(tmp_path_factory.mktemp("sd3") / "medium", t5=False)


@pytest.fixture
def with_sd3(workplace: Workplace, sd3: Path) -> Workplace:
    installed = Catalog(workplace.settings, runnable=RUNNABLE_ARCHITECTURES).installed
    installed.add(describe(NewModel(air="runware:5@1", source=str(sd3))))
    return workplace


async def test_stable_diffusion_3_has_the_defaults_of_its_authors(with_sd3: Workplace) -> None:
    item_of(await with_sd3.perform(transformation(model="runware:5@1", steps=None, CFGScale=None)))
    [job] = with_sd3.engine.jobs
    assert (job.model.architecture, job.steps, job.guidance_scale, job.scheduler) == (
        "sd3",
        28,
        7.0,
        "Default",
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"promptWeighting": "compel"}, "invalidPromptWeighting"),
        ({"scheduler": "DDIM"}, "invalidScheduler"),
        ({"refiner": {"model": "civitai:101055@128080"}}, "incompatibleParameters"),
        ({"lora": [{"model": "civitai:1@1"}]}, "unsupportedParameter"),
        ({"embeddings": [{"model": "civitai:1@1"}]}, "unsupportedParameter"),
        ({"acceleratorOptions": {"deepCache": True}}, "incompatibleParameters"),
    ],
)
async def test_what_stable_diffusion_3_does_not_have_is_refused(
    with_sd3: Workplace, changes: dict[str, Any], code: str
) -> None:
    assert error_of(await with_sd3.perform(transformation(model="runware:5@1", **changes)))["code"] == code
    assert with_sd3.engine.jobs == []


async def test_a_perceptual_strength_is_told_to_the_engine_as_a_share_of_the_steps(
    with_sd3: Workplace,
) -> None:
    asked: dict[str, Any] = {"model": "runware:5@1", "strength": 0.5, "steps": 20, "outputFormat": "PNG"}
    item_of(await with_sd3.perform(transformation(**asked)))
    reply = await with_sd3.perform(
        transformation(**asked, strengthCurve="perceptual", passes=[{}, {"strength": 0.3}, {"strength": 0}])
    )
    plain, curved = with_sd3.engine.jobs
    assert (plain.strength, plain.asked_strength) == (0.5, None)
    levels = FlowLevels(shift=3.0)
    size = {"width_px": curved.width_px, "height_px": curved.height_px}
    assert [each.strength for each in curved.passes] == [
        perceptual_share(0.5, levels, **size),
        perceptual_share(0.3, levels, **size),
        0.0,
    ]
    opened = await with_sd3.studio.open_image(*item_of(reply)["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    said: dict[str, Any] = read_parameters(opened.data) or {}
    assert (said["strength"], said["strengthCurve"]) == (0.5, "perceptual")
    assert [each["strength"] for each in said["passes"]] == [0.5, 0.3, 0.0]


@pytest.mark.parametrize(
    ("model", "code", "parameter"),
    [
        ("underpaint:1@2", "incompatibleParameters", ["strengthCurve", "model"]),
        ("runware:104@1", "incompatibleParameters", ["strengthCurve", "model"]),
    ],
)
async def test_a_perceptual_strength_is_refused_where_it_means_nothing(
    with_tools: Workplace, model: str, code: str, parameter: list[str]
) -> None:
    error = error_of(await with_tools.perform(transformation(model=model, strengthCurve="perceptual")))
    assert (error["code"], error["parameter"]) == (code, parameter)
    error = error_of(await with_tools.perform(transformation(model=model, strengthCurve="smooth")))
    assert (error["code"], error["allowedValues"]) == ("invalidStrengthCurve", ["steps", "perceptual"])


@pytest.mark.parametrize(
    ("write", "architecture"), [(write_checkpoint, "sd1x"), (write_sdxl_checkpoint, "sdxl")]
)
async def test_inpainting_checkpoints_can_be_named(
    workplace: Workplace, tmp_path: Path, write: Callable[..., Path], architecture: str
) -> None:
    folder = write(tmp_path / "inpainting", in_channels=9)
    installed = Catalog(workplace.settings, runnable=RUNNABLE_ARCHITECTURES).installed
    entry = describe(NewModel(air="test:1@1", source=str(folder)))
    installed.add(entry)
    item_of(await workplace.perform(transformation(model="test:1@1", maskImage=HALF)))
    [job] = workplace.engine.jobs
    assert (entry.type, job.model.architecture, job.strength) == ("inpainting", architecture, 0.5)
