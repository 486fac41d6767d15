"""FLUX.1 Redux gives what diffusers' prior and pipeline give, to 1/255 a channel."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.checkpoints import photo_like
from tests.checkpoints_flux import write_flux_checkpoint
from tests.engine.driving import Driven, job_request, worst_difference
from tests.redux import write_redux
from tests.reference.side_by_side import is_flat
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import ImagePrompt, JobRequest, ModelReference, Picture

GUIDE = photo_like(90, 50)
OTHER_GUIDE = np.ascontiguousarray(photo_like(48, 64)[::-1, :, ::-1])
STEPS, SEED = 6, 3


@pytest.fixture(scope="module")
def redux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the two layers; the image encoder is in the folder beside its own."""
    return write_redux(tmp_path_factory.mktemp("redux") / "model")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux_checkpoint(tmp_path_factory.mktemp("flux") / "dev", sharpness=3.0)


@pytest.fixture(scope="module")
def schnell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux_checkpoint(tmp_path_factory.mktemp("flux") / "schnell", guided=False, sharpness=3.0)


def prompt_of(redux: Path, *pictures: Picture, **more: Any) -> ImagePrompt:
    encoder = redux.parent.parent / "image_encoder"
    return ImagePrompt(air="runware:105@1", location=redux, encoder=encoder, pictures=pictures, **more)


def request(folder: Path, *prompts: ImagePrompt, architecture: str = "flux1d", **more: Any) -> JobRequest:
    usual: dict[str, Any] = {
        "model": ModelReference(architecture=architecture, location=folder),
        "prompt": "a red house by the sea",
        "steps": STEPS,
        "seed": SEED,
        "guidance_scale": 2.5,
        "scheduler": "Default",
        "image_prompts": prompts,
    }
    return job_request("only", folder, **{**usual, **more})


def ours(asked: JobRequest) -> Picture:
    driven = Driven()
    driven.finish(asked)
    return driven.picture(asked.job_id)


def prior(
    folder: Path, redux: Path, pictures: Sequence[Picture], scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """What diffusers' prior makes of pictures and an empty prompt, and the pooled prompt."""
    with quiet_libraries():
        of_text = diffusers.FluxPipeline.from_pretrained(folder, transformer=None, vae=None)
        pipeline = diffusers.FluxPriorReduxPipeline.from_pretrained(
            redux.parent.parent,
            text_encoder=of_text.text_encoder,
            text_encoder_2=of_text.text_encoder_2,
            tokenizer=of_text.tokenizer,
            tokenizer_2=of_text.tokenizer_2,
        )
        made = pipeline(
            [Image.fromarray(picture) for picture in pictures],
            prompt=[""] * len(pictures),
            prompt_embeds_scale=[scale] * len(pictures),
            pooled_prompt_embeds_scale=[scale] * len(pictures),
        )
    return made.prompt_embeds, made.pooled_prompt_embeds


def theirs(folder: Path, embeds: Tensor, pooled: Tensor, **more: Any) -> Picture:
    kind = "FluxImg2ImgPipeline" if "image" in more else "FluxPipeline"
    with quiet_libraries():
        pipeline = getattr(diffusers, kind).from_pretrained(folder, text_encoder=None, text_encoder_2=None)
        pipeline.set_progress_bar_config(disable=True)
        made = pipeline(
            prompt_embeds=embeds,
            pooled_prompt_embeds=pooled,
            num_inference_steps=STEPS,
            guidance_scale=2.5,
            width=64,
            height=64,
            generator=torch.Generator("cpu").manual_seed(SEED),
            **more,
        )
    return np.asarray(made.images[0])


def test_a_picture_matches(dev: Path, redux: Path) -> None:
    asked = request(dev, prompt_of(redux, GUIDE))
    painted = ours(asked)
    assert worst_difference(painted, theirs(dev, *prior(dev, redux, [GUIDE]))) <= 1
    assert not is_flat(painted)
    assert worst_difference(painted, ours(request(dev, prompt_of(redux, OTHER_GUIDE)))) > 3
    # The prompt is without effect, whatever is in it.
    other = replace(asked, prompt="(two blue dogs:1.4", prompt_weighting="sdEmbeds")
    assert np.array_equal(painted, ours(other))


def test_it_matches_where_a_picture_is_begun_with(dev: Path, redux: Path, photo: Picture) -> None:
    asked = request(dev, prompt_of(redux, GUIDE), picture=photo, strength=0.5)
    reference = theirs(dev, *prior(dev, redux, [GUIDE]), image=Image.fromarray(photo), strength=0.5)
    assert worst_difference(ours(asked), reference) <= 1


def test_several_averaged_match(dev: Path, redux: Path) -> None:
    asked = request(dev, prompt_of(redux, GUIDE, OTHER_GUIDE, combination="average"))
    reference = theirs(dev, *prior(dev, redux, [GUIDE, OTHER_GUIDE], 0.5))
    assert worst_difference(ours(asked), reference) <= 1


def test_several_added_match(dev: Path, redux: Path) -> None:
    """diffusers adds up the empty prompts, too, where it is given text encoders."""
    asked = request(dev, prompt_of(redux, GUIDE, OTHER_GUIDE, combination="add"))
    both, _ = prior(dev, redux, [GUIDE, OTHER_GUIDE])
    alone, pooled = prior(dev, redux, [GUIDE])
    embeds = torch.cat([alone[:, :512], both[:, 512:]], dim=1)
    assert worst_difference(ours(asked), theirs(dev, embeds, pooled)) <= 1


def apart(redux: Path) -> tuple[ImagePrompt, ...]:
    return (prompt_of(redux, GUIDE), prompt_of(redux, OTHER_GUIDE))


def together(redux: Path) -> tuple[ImagePrompt, ...]:
    return (prompt_of(redux, GUIDE, OTHER_GUIDE),)


@pytest.mark.parametrize("prompts", [together, apart])
def test_several_follow_one_another(
    dev: Path, redux: Path, prompts: Callable[[Path], tuple[ImagePrompt, ...]]
) -> None:
    (one, pooled), (other, _) = (prior(dev, redux, [each]) for each in (GUIDE, OTHER_GUIDE))
    embeds = torch.cat([one, other[:, 512:]], dim=1)
    assert worst_difference(ours(request(dev, *prompts(redux))), theirs(dev, embeds, pooled)) <= 1


def test_schnell_matches_with_prompts_of_its_own_length(schnell: Path, redux: Path) -> None:
    embeds, pooled = prior(schnell, redux, [GUIDE])
    asked = request(schnell, prompt_of(redux, GUIDE), architecture="flux1s")
    # The prior knows dev's length only.
    with quiet_libraries():
        of_text = diffusers.FluxPipeline.from_pretrained(schnell, transformer=None, vae=None)
        empty, _, _ = of_text.encode_prompt("", "", max_sequence_length=256)
    embeds = torch.cat([empty, embeds[:, 512:]], dim=1)
    assert worst_difference(ours(asked), theirs(schnell, embeds, pooled)) <= 1


def test_jobs_with_pictures_share_passes(dev: Path, redux: Path) -> None:
    wishes = {
        "one": {"image_prompts": (prompt_of(redux, GUIDE),)},
        "other": {"image_prompts": (prompt_of(redux, OTHER_GUIDE),), "seed": 5},
        "none": {"image_prompts": ()},
        "several": {"image_prompts": (prompt_of(redux, GUIDE, OTHER_GUIDE),)},
    }
    asked = {name: replace(request(dev), job_id=name, **more) for name, more in wishes.items()}  # type: ignore[arg-type]
    driven = Driven()
    shared: list[int] = []
    predict = driven.engine.model(request(dev).model).predict
    counted = partial(_counted, predict, shared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driven.engine.model(request(dev).model), "predict", counted)
        driven.finish(*asked.values())
    assert sorted(shared) == [1] * 2 * STEPS + [2] * STEPS
    for name, each in asked.items():
        assert worst_difference(driven.picture(name), ours(replace(each, job_id="only"))) <= 1


def _counted(predict: Callable[[Any], Tensor], shared: list[int], rows: Sequence[Any]) -> Tensor:
    shared.append(len(rows))
    return predict(rows)
