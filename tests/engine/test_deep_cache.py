"""DeepCache, arXiv:2312.00858: most steps take the deep layers of the UNet from an earlier one."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.controlnets import write_controlnet
from tests.engine.driving import Driven, job_request, worst_difference
from underpaint.diffusion.controlnet import Control, residuals
from underpaint.diffusion.deep_cache import deepest_branch, shallow_pass, whole_pass
from underpaint.diffusion.family import Row
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.messages import DeepCache, JobRequest, Picture


def load(folder: Path) -> StableDiffusion:
    return StableDiffusion.load(folder, config=None, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def model(sd1_checkpoint: Path) -> StableDiffusion:
    return load(sd1_checkpoint)


def rows_of(model: StableDiffusion, *, side: int = 8) -> list[Row]:
    noise = torch.randn(2, 4, side, side + 4, generator=torch.Generator().manual_seed(1))
    return [
        Row(latents=latents, timestep=timestep, prompt=model.encode_prompt(prompt), guidance_scale=7.0)
        for latents, timestep, prompt in zip(noise, (700.0, 300.0), ("a house", "the sea"), strict=True)
    ]


@pytest.mark.parametrize("side", [8, 12])
def test_a_shallow_pass_on_the_features_of_the_same_input_is_the_whole_pass(
    model: StableDiffusion, side: int
) -> None:
    deepest = deepest_branch(model._unet)
    assert deepest >= 2
    with torch.inference_mode():
        inputs = model._inputs(rows_of(model, side=side))
        plain = model._unet(**inputs, return_dict=False)[0]
        for branch in range(deepest + 2):
            whole, features = whole_pass(model._unet, inputs, branch=branch)
            shallow = shallow_pass(model._unet, inputs, branch=branch, features=features)
            assert torch.equal(whole, plain)
            torch.testing.assert_close(shallow, whole)
            changed = shallow_pass(model._unet, inputs, branch=branch, features=features + 1.0)
            assert not torch.allclose(changed, whole), "the features do matter"
    assert not any(block._forward_pre_hooks for block in model._unet.modules())


def test_with_a_controlnet_too(model: StableDiffusion, tmp_path: Path) -> None:
    net = model.load_controlnet(write_controlnet(tmp_path / "net", model._unet), pools=False)
    control = Control(controlnet=net, map=torch.rand(3, 64, 96), weight=1.0)
    rows = [replace(row, controls=[control] if number else []) for number, row in enumerate(rows_of(model))]
    without = model.predict(rows_of(model))
    with torch.inference_mode():
        plain = model._inputs(rows)
        added = residuals([row.controls for row in rows], negative=[False, False], inputs=plain)
        assert added is not None
        inputs = {**plain, **added.inputs}
        for branch in range(deepest_branch(model._unet) + 1):
            whole, features = whole_pass(model._unet, inputs, branch=branch)
            torch.testing.assert_close(
                shallow_pass(model._unet, inputs, branch=branch, features=features), whole
            )
    torch.testing.assert_close(model.predict(rows), whole)
    torch.testing.assert_close(whole[0], without[0])
    assert not torch.allclose(whole[1], without[1], atol=0.1)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[bool | None]]:
    """Of each pass its rows: whether they take shortcuts, None for rows that never do."""
    seen: list[list[bool | None]] = []
    predict = StableDiffusion.predict

    def watched(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
        seen.append([None if row.deep is None else not row.deep.due for row in rows])
        return predict(model, rows)

    monkeypatch.setattr(StableDiffusion, "predict", watched)
    return seen


def cached(job_id: str, folder: Path, interval: int, branch: int = 0, **more: object) -> JobRequest:
    return job_request(
        job_id, folder, steps=6, deep_cache=DeepCache(interval=interval, branch=branch), **more
    )


def test_one_step_in_an_interval_runs_the_whole_model(
    sd1_checkpoint: Path, passes: list[list[bool | None]]
) -> None:
    driven = Driven()
    driven.finish(cached("job", sd1_checkpoint, 3))
    assert passes == [[False] * 2, [True] * 2, [True] * 2] * 2


def test_an_interval_of_one_changes_nothing(sd1_checkpoint: Path, photo: Picture) -> None:
    driven = Driven()
    driven.finish(
        cached("cached", sd1_checkpoint, 1, picture=photo, strength=0.7),
        job_request("plain", sd1_checkpoint, steps=6, picture=photo, strength=0.7),
    )
    assert worst_difference(driven.picture("cached"), driven.picture("plain")) <= 1


def test_shortcuts_change_the_picture_and_deeper_branches_change_it_differently(
    sd1_checkpoint: Path, photo: Picture
) -> None:
    driven = Driven()
    driven.finish(
        job_request("plain", sd1_checkpoint, steps=6, picture=photo, strength=0.7),
        cached("outer", sd1_checkpoint, 3, picture=photo, strength=0.7),
        cached("inner", sd1_checkpoint, 3, branch=3, picture=photo, strength=0.7),
    )
    plain, outer, inner = (driven.picture(name) for name in ("plain", "outer", "inner"))
    assert worst_difference(outer, plain) > 0
    assert worst_difference(inner, outer) > 0


@pytest.mark.parametrize("strict_rows", [None, 4])
def test_company_changes_nothing_and_steps_of_one_kind_share_a_pass(
    sd1_checkpoint: Path, photo: Picture, passes: list[list[bool | None]], strict_rows: int | None
) -> None:
    jobs = [
        cached("one", sd1_checkpoint, 3, seed=1),
        cached("other", sd1_checkpoint, 2, seed=2, picture=photo, strength=0.9, guidance_scale=1.0),
        job_request("plain", sd1_checkpoint, steps=5, seed=3),
        cached("second order", sd1_checkpoint, 2, seed=4, scheduler="Heun"),
    ]
    together = Driven(strict_rows=strict_rows)
    together.finish(*jobs)
    assert any(len(rows) > 2 for rows in passes)
    assert all(len(set(rows)) == 1 for rows in passes), "kinds of passes are kept apart"
    alone = Driven(strict_rows=strict_rows)
    for job in jobs:
        alone.finish(job)
        pictures = together.picture(job.job_id), alone.picture(job.job_id)
        if strict_rows:
            assert pictures[0].tobytes() == pictures[1].tobytes(), job.job_id
        else:
            assert worst_difference(*pictures) <= 1, job.job_id


def test_a_job_goes_on_from_its_state_in_the_midst_of_an_interval(
    sd1_checkpoint: Path, make_trajectory: Callable[..., object]
) -> None:
    from underpaint.engine.trajectory import Trajectory

    model = load(sd1_checkpoint)
    request = cached("job", sd1_checkpoint, 3)

    def step(trajectory: Trajectory) -> None:
        trajectory.advance(model.predict(trajectory.rows()))

    whole = make_trajectory(request, model)
    assert isinstance(whole, Trajectory)
    for _ in range(2):
        step(whole)
    state = copy.deepcopy(whole.state())
    resumed = make_trajectory(request, model)
    assert isinstance(resumed, Trajectory)
    resumed.restore(state)
    while whole.forwards_left:
        step(whole)
        step(resumed)
    assert whole.paint(model).tobytes() == resumed.paint(model).tobytes()


@pytest.fixture
def make_trajectory() -> Callable[..., object]:
    from underpaint.engine.encodings import ByteBudgetCache
    from underpaint.engine.trajectory import Trajectory

    additions = Driven().engine._additions
    return lambda request, model: Trajectory(request, model, ByteBudgetCache(2**20), additions)
