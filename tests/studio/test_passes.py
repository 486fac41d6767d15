"""Passes of a task: what the engine is given, and what the picture says of them."""

import pytest

from tests.studio.conftest import Workplace, error_of, item_of, open_result, transformation
from underpaint.engine.messages import Pass
from underpaint.images import read_parameters


async def test_what_a_pass_leaves_out_is_the_tasks_own(workplace: Workplace) -> None:
    passes = [
        {"strength": 0.4},
        {"positivePrompt": "snow", "negativePrompt": "fog", "CFGScale": 0, "scheduler": "Euler a"},
        {"strength": 0.0, "steps": 30, "positivePrompt": "__BLANK__"},
    ]
    item_of(await workplace.perform(transformation(passes=passes, CFGScale=5, scheduler="DDIM")))
    [job] = workplace.engine.jobs

    own = {"negative_prompt": "", "guidance_scale": 5.0, "scheduler": "DDIM", "steps": 10}
    assert job.passes == (
        Pass(**own, prompt="watercolor painting", strength=0.4),  # type: ignore[arg-type]
        Pass(
            prompt="snow",
            negative_prompt="fog",
            guidance_scale=0.0,
            scheduler="Euler a",
            steps=10,
            strength=0.5,
        ),
        Pass(**{**own, "steps": 30}, prompt="", strength=0.0),  # type: ignore[arg-type]
    )


async def test_a_scheduler_that_the_model_lacks_is_named_with_its_place(workplace: Workplace) -> None:
    task = transformation(passes=[{}, {"scheduler": "FlowMatchEulerDiscreteScheduler"}])
    error = error_of(await workplace.perform(task))

    assert (error["code"], error["parameter"]) == ("invalidPassesScheduler", "passes[1].scheduler")
    assert "DDIM" in error["allowedValues"]
    assert workplace.engine.jobs == []


@pytest.mark.parametrize("results", [1, 2])
async def test_every_result_goes_through_all_passes(workplace: Workplace, results: int) -> None:
    reply = await workplace.perform(
        transformation(passes=[{"strength": 0.2}, {"strength": 0.3}], numberResults=results)
    )

    assert len(reply.data) == results
    assert [len(job.passes) for job in workplace.engine.jobs] == [2] * results


async def test_the_picture_says_what_each_pass_was(workplace: Workplace) -> None:
    passes = [{"strength": 0.4}, {"strength": 0.25, "positivePrompt": "snow", "steps": 20}]
    item = item_of(
        await workplace.perform(transformation(passes=passes, outputFormat="PNG", includeCost=True))
    )
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))

    assert opened is not None
    parameters = read_parameters(opened.data)
    assert parameters is not None
    said = parameters["passes"]
    assert isinstance(said, list)
    assert [each["strength"] for each in said] == [0.4, 0.25]
    assert [each["effectiveSteps"] for each in said] == [4, 5]
    assert [each["positivePrompt"] for each in said] == ["watercolor painting", "snow"]
    assert item["cost"] == 0
    assert item["effectiveSteps"] == 9


async def test_a_single_pass_says_nothing_of_passes(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(transformation(outputFormat="PNG")))
    assert (await open_result(workplace, item)).size == (128, 128)
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))

    assert opened is not None
    assert "passes" not in (read_parameters(opened.data) or {})


WEAK = [{"strength": 0.1}, {"strength": 0.3}]


async def test_weak_passes_without_words_keep_the_photos_colors(workplace: Workplace) -> None:
    task = transformation(passes=WEAK, positivePrompt="__BLANK__", outputFormat="PNG")
    item = item_of(await workplace.perform(task))
    [job] = workplace.engine.jobs
    assert job.color_fix is True
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    assert (read_parameters(opened.data) or {})["colorFix"] is True


@pytest.mark.parametrize(
    "different",
    [
        {"positivePrompt": "watercolor painting"},
        {"negativePrompt": "fog"},
        {"passes": [{"strength": 0.1}, {"strength": 0.31}]},
        {"passes": [{"strength": 0.1}, {"strength": 0.1, "positivePrompt": "snow"}]},
        {"passes": [], "strength": 0.1},
        {"colorFix": False},
    ],
    ids=["a word", "a negative word", "a stronger pass", "a word in one pass", "one pass", "not wanted"],
)
async def test_passes_that_may_ask_for_other_colors_get_them(
    workplace: Workplace, different: dict[str, object]
) -> None:
    task = transformation(**{"passes": WEAK, "positivePrompt": "__BLANK__", **different})
    item_of(await workplace.perform(task))
    assert [job.color_fix for job in workplace.engine.jobs] == [False]
