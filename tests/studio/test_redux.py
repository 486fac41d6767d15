"""FLUX Redux in a task: what the engine is given, and what is refused before acceptance."""

from pathlib import Path
from typing import Any

import pytest

from tests.catalog.test_image_encoders import adapter_shapes, write_encoder_folder
from tests.catalog.weights import write_safetensors
from tests.redux import ENCODER_WIDTH, TEXT_WIDTH, write_redux_file
from tests.studio.conftest import Workplace, encoded, error_of, item_of, transformation
from underpaint.catalog import NewModel, describe
from underpaint.catalog.installed import InstalledModels

REDUX = "runware:105@1"


@pytest.fixture
def redux(tmp_path: Path) -> Path:
    """The file as it is published, with its image encoder beside it."""
    folder = tmp_path / "FLUX.1-Redux-dev"
    write_encoder_folder(folder / "image_encoder", layer_width=ENCODER_WIDTH)
    return write_redux_file(folder / "flux1-redux-dev.safetensors")


@pytest.fixture
def painting(
    workplace: Workplace,
    redux: Path,
    flux_checkpoint: Path,
    schnell_checkpoint: Path,
    kontext_checkpoint: Path,
) -> Workplace:
    """A studio with FLUX and Redux."""
    installed = InstalledModels(workplace.settings.data_dir)
    for air, source in (
        ("runware:107@1", flux_checkpoint),
        ("runware:100@1", schnell_checkpoint),
        ("runware:106@1", kontext_checkpoint),
        (REDUX, redux),
    ):
        installed.add(describe(NewModel(air=air, source=str(source))))
    return workplace


def varied(**changes: Any) -> dict[str, Any]:
    """A variation of a picture by FLUX."""
    return transformation(
        **{
            "model": "runware:107@1",
            "seedImage": ...,
            "strength": ...,
            "positivePrompt": "__BLANK__",
            "ipAdapters": [{"model": REDUX, "guideImage": encoded()}],
            **changes,
        }
    )


@pytest.mark.parametrize("model", ["runware:107@1", "runware:100@1", "runware:106@1"])
async def test_every_flux_takes_it(painting: Workplace, redux: Path, model: str) -> None:
    several = {"model": REDUX, "guideImages": [encoded(), encoded((30, 20))], "combineMethod": "average"}
    task = varied(model=model, ipAdapters=[{"model": REDUX, "guideImage": encoded(), "weight": 1}, several])
    item_of(await painting.perform(task))
    [job] = painting.engine.jobs
    one, two = job.image_prompts
    assert (one.location, one.encoder) == (redux, redux.parent / "image_encoder")
    assert [len(prompt.pictures) for prompt in (one, two)] == [1, 2]
    assert (one.combination, two.combination, job.prompt) == ("concat", "average", "")


async def test_it_goes_with_a_seed_image(painting: Workplace) -> None:
    item_of(await painting.perform(varied(seedImage=encoded(), strength=0.6)))
    [job] = painting.engine.jobs
    assert (job.strength, len(job.image_prompts)) == (0.6, 1)


@pytest.mark.parametrize(
    ("changes", "parameter", "allowed"),
    [
        ({"weight": 0.5}, "weight", [1.0]),
        ({"weight": -1}, "weight", [1.0]),
        ({"embedScaling": "only_v"}, "embedScaling", ["kv"]),
        ({"weightType": "ease_in"}, "weightType", ["normal"]),
        ({"weightComposition": 0}, "weightComposition", [1.0]),
    ],
)
async def test_it_has_no_weight(
    painting: Workplace, changes: dict[str, Any], parameter: str, allowed: list[object]
) -> None:
    adapter = {"model": REDUX, "guideImage": encoded()}
    error = error_of(await painting.perform(varied(ipAdapters=[adapter, {**adapter, **changes}])))
    assert error["code"] == "invalidIpAdapters" + parameter[0].upper() + parameter[1:]
    assert (error["parameter"], error["allowedValues"]) == (f"ipAdapters[1].{parameter}", allowed)
    assert painting.engine.jobs == []


async def test_other_adapters_are_refused_by_flux_and_redux_by_others(
    painting: Workplace, tmp_path: Path
) -> None:
    installed = InstalledModels(painting.settings.data_dir)
    folder = tmp_path / "adapters"
    write_encoder_folder(folder / "image_encoder")
    plain = write_safetensors(folder / "plain.safetensors", adapter_shapes())
    installed.add(describe(NewModel(air="test:1@1", source=str(plain))))
    # Of a width that says nothing of its family, so that a person may say FLUX.
    shapes = {name: (shape[0], 640) for name, shape in adapter_shapes().items() if "_ip" in name}
    odd = write_safetensors(folder / "odd.safetensors", shapes)
    installed.add(describe(NewModel(air="test:2@1", source=str(odd), architecture="flux1d")))
    for air in ("test:1@1", "test:2@1"):
        task = varied(ipAdapters=[{"model": air, "guideImage": encoded()}])
        error = error_of(await painting.perform(task))
        assert (error["code"], error["parameter"]) == ("invalidIpAdaptersModel", "ipAdapters[0].model"), air
    error = error_of(await painting.perform(varied(model="underpaint:1@2")))
    assert (error["code"], error["parameter"]) == ("invalidIpAdaptersModel", "ipAdapters[0].model")
    assert painting.engine.jobs == []


async def test_without_its_image_encoder_it_says_so(painting: Workplace, redux: Path) -> None:
    (redux.parent / "image_encoder" / "config.json").write_text("{}")
    error = error_of(await painting.perform(varied()))
    assert (error["code"], error["parameter"]) == ("modelNotReady", "ipAdapters[0].model")
    assert f"hidden_size is {ENCODER_WIDTH}" in error["message"]
    assert TEXT_WIDTH != ENCODER_WIDTH
