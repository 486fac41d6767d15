from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionImg2ImgPipeline
from PIL import Image
from safetensors.torch import load_file

from training.__main__ import arguments
from training.autoencoder import psnr_db, reconstruct
from training.evaluate import autoencoder_report, contact_sheets, load_pipeline
from training.fields import Picture
from training.recipe import AUTOENCODER_PHOTOS, SHOWN_PHOTOS, Recipe
from training.sheets import TILE_PX, render, tile
from training.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def trained(
    source_folder: Path, make_photo: Callable[..., Picture], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder in which every stage of a tiny recipe ran twice."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "sources").symlink_to(source_folder)

    def judged(downloads: Path, size_px: int) -> dict[str, Picture]:
        return {name: make_photo(n, size_px) for n, name in enumerate((*AUTOENCODER_PHOTOS, *SHOWN_PHOTOS))}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.recipe.judged_photos", judged)
        patch.setattr(
            "training.recipe.strength_sheet", lambda pipeline, photos: np.zeros((8, 8, 3), np.uint8)
        )
        for minutes in (0.05, 0.08):
            recipe = Recipe.of_budget(
                folder=folder,
                minutes=minutes,
                autoencoder_minutes=0.02,
                device=torch.device("cpu"),
                smoke=True,
            )
            recipe.run()
    return folder


def test_the_second_run_goes_on_where_the_first_stopped(trained: Path) -> None:
    saved = torch.load(trained / "denoiser" / "checkpoint.pt", weights_only=True)
    assert saved["minutes"] == pytest.approx(0.06, abs=0.03)
    assert saved["samples"] >= saved["step"] > 1
    assert len(list((trained / "shards").glob("*/latents.npy"))) >= 1


def test_what_comes_out_is_a_model_that_stock_diffusers_runs(
    trained: Path, make_photo: Callable[..., Picture]
) -> None:
    model = trained / "model"
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(model, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    made = render(pipeline, make_photo(3, 64), "watercolor painting", strength=0.6, steps=5)
    again = render(pipeline, make_photo(3, 64), "watercolor painting", strength=0.6, steps=5)
    assert made.shape == (64, 64, 3)
    assert np.array_equal(made, again)
    assert sum(p.stat().st_size for p in model.rglob("*.safetensors")) < 6e6
    for config in model.rglob("*.json"):
        assert str(trained) not in config.read_text(), "where it was trained is nobody's business"


def test_the_decoder_is_trained_on_against_the_same_encoder(trained: Path) -> None:
    first, last = (
        AutoencoderTiny.from_pretrained(trained / name / "final") for name in ("autoencoder", "decoder")
    )
    pairs = {name: (weights, last.state_dict()[name]) for name, weights in first.state_dict().items()}
    assert all(torch.equal(*pair) for name, pair in pairs.items() if name.startswith("encoder"))
    assert not all(torch.equal(*pair) for name, pair in pairs.items() if name.startswith("decoder"))
    exported = AutoencoderTiny.from_pretrained(trained / "model" / "vae").state_dict()
    # Half precision keeps 11 bits.
    assert all(
        torch.allclose(exported[name].float(), pair[1], rtol=1e-3, atol=1e-4) for name, pair in pairs.items()
    )


def test_a_run_can_start_from_an_exported_model(trained: Path, tmp_path: Path) -> None:
    def recipe(folder: Path, start: Path | None) -> Recipe:
        return Recipe.of_budget(
            folder=folder,
            minutes=0.0,
            autoencoder_minutes=0.0,
            device=torch.device("cpu"),
            smoke=True,
            start=start,
        )

    for part in ("sources", "shards"):
        (tmp_path / part).symlink_to(trained / part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.recipe.judged_photos", lambda *_: dict.fromkeys(SHOWN_PHOTOS))
        patch.setattr("training.recipe.strength_sheet", lambda *_: np.zeros((8, 8, 3), np.uint8))
        recipe(tmp_path, trained / "model").run()
    for part in ("unet/diffusion_pytorch_model", "text_encoder/model", "vae/diffusion_pytorch_model"):
        given, gone_on = (
            load_file(folder / "model" / f"{part}.safetensors") for folder in (trained, tmp_path)
        )
        assert all(torch.equal(weights, gone_on[name]) for name, weights in given.items()), part
    assert (
        load_tokenizer(tmp_path / "tokenizer").get_vocab()
        == load_tokenizer(trained / "tokenizer").get_vocab()
    )


def test_a_start_without_an_autoencoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no autoencoder"):
        Recipe.of_budget(
            folder=tmp_path,
            minutes=30,
            autoencoder_minutes=None,
            device=torch.device("cpu"),
            smoke=True,
            start=tmp_path / "no",
        )


def test_the_autoencoder_of_the_repository_restores_pictures_and_costs_no_budget(
    make_photo: Callable[..., Picture],
) -> None:
    start = Path(__file__).parents[2] / "training" / "start"
    recipe = Recipe.of_budget(
        folder=Path("x"),
        minutes=30,
        autoencoder_minutes=None,
        device=torch.device("cpu"),
        smoke=False,
        start=start,
    )
    assert recipe.autoencoder_minutes == 0
    assert recipe.plan.minutes == pytest.approx(27)
    model = AutoencoderTiny.from_pretrained(start / "vae", dtype=torch.float32)
    photo = make_photo(3, 128)[None]
    assert psnr_db(photo, reconstruct(model, photo, torch.device("cpu"))) > 25


def test_progress_is_shown_as_pictures(trained: Path) -> None:
    for name in ("autoencoder/reconstructions.png", "autoencoder/curves.png", "denoiser/curves.png"):
        assert (trained / name).stat().st_size > 0
    assert list((trained / "samples").glob("*.png"))


def test_an_evaluation_shows_and_measures_the_model(
    trained: Path, make_photo: Callable[..., Picture], tmp_path: Path
) -> None:
    pipeline, photo = load_pipeline(trained / "model"), make_photo(3, 64)
    contact_sheets(pipeline, {"field": photo}, tmp_path)
    strengths = np.asarray(Image.open(tmp_path / "strengths.png"))
    assert strengths.shape == (TILE_PX, 11 * TILE_PX, 3)
    first = strengths[40:, :TILE_PX].astype(int)
    assert np.abs(first - tile(photo, "")[40:].astype(int)).mean() < 2
    assert np.asarray(Image.open(tmp_path / "styles.png")).shape == (TILE_PX, 13 * TILE_PX, 3)
    report = autoencoder_report(pipeline, {"field": photo}, tmp_path)
    assert isinstance(report["psnr_db_mean"], float)


def test_the_budget_is_shared_between_the_stages() -> None:
    recipe = Recipe.of_budget(
        folder=Path("x"), minutes=30, autoencoder_minutes=None, device=torch.device("cpu"), smoke=False
    )
    assert recipe.autoencoder_minutes == pytest.approx(9)
    assert recipe.decoder_minutes == pytest.approx(3)
    assert recipe.plan.minutes == pytest.approx(18)
    assert recipe.first_shards == 3


def test_the_command_line_needs_a_folder_and_a_budget() -> None:
    given = arguments(["--out", "somewhere", "--minutes", "30"])
    assert (given.out, given.minutes, given.device, given.smoke) == (Path("somewhere"), 30, "cpu", False)
    with pytest.raises(SystemExit):
        arguments(["--minutes", "30"])
