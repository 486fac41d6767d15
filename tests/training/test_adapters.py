"""The LoRA and the IP-Adapter, trained for moments beside a tiny model, through the real loaders of the package."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training.adapting import AdaptingPlan, FrozenModel, command_line
from training.autoencoder import build_autoencoder
from training.blueprint import BLUEPRINT_PHRASES, blueprint, blueprint_caption
from training.captions import plain_caption
from training.denoiser import build_text_encoder, build_unet
from training.export import export_model
from training.fields import Picture, gray
from training.helper_task import LOOKS
from training.ip_adapter import IPAdapterTraining, lent_pair
from training.lending import draw_look, lend, lend_palette
from training.lora import LoraTraining, as_blueprint
from training.pairs import Pairs, ShardPhotos, content_of, draw_pairs, render_pairs
from training.picture_prompts import ENCODER, FILE, build_image_encoder
from training.pictures import SourcePictures
from training.shards import render_shard, save_shard
from training.styles import STYLES
from training.tokenizer import train_tokenizer
from underpaint.diffusion.image_encoder import ImageEncoder
from underpaint.diffusion.ip_adapter import load_ip_adapter
from underpaint.diffusion.ip_adapter_names import encoder_width, fits
from underpaint.diffusion.lora import load_lora

CPU = torch.device("cpu")
PLAN = AdaptingPlan(minutes=0.01, sample_minutes=1e9, rows=4, guided_from=0.5)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights."""
    folder = tmp_path_factory.mktemp("adapted")
    tokenizer = train_tokenizer(["a blue house, blueprint"], folder / "tokenizer", 50)
    torch.manual_seed(1)
    unet = build_unet((32, 32, 32), 32)
    export_model(
        folder / "model", build_autoencoder(8), build_text_encoder(tokenizer, 32, 1), tokenizer, unet
    )
    return folder / "model"


@pytest.fixture(scope="module")
def shards(source_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shard of three records."""
    folder = tmp_path_factory.mktemp("shards")
    save_shard(render_shard(np.random.default_rng(1), SourcePictures(source_folder), 3), folder / "00000")
    return folder


def test_a_blueprint_is_blue_with_white_lines(photo: Picture) -> None:
    made = blueprint(np.random.default_rng(1), photo)
    assert made.shape == photo.shape
    red, _, blue = made.reshape(-1, 3).mean(0)
    assert blue > red + 60
    assert made.min(2).max() > 190
    captions = [blueprint_caption(np.random.default_rng(seed), "a cat") for seed in range(20)]
    assert all(any(phrase in caption for phrase in BLUEPRINT_PHRASES) for caption in captions)
    assert any("a cat" in caption for caption in captions)


@pytest.mark.parametrize("content", ["", "a lake, two boats"])
def test_what_a_photo_shows_is_read_from_its_caption(content: str) -> None:
    for seed in range(20):
        assert content_of(plain_caption(np.random.default_rng(seed), content)) == content


def test_a_lent_palette_has_the_references_mean_and_spread(make_photo: Callable[..., Picture]) -> None:
    photo = make_photo(1)
    reference = np.clip(make_photo(2)[..., ::-1] * 0.5 + 60, 0, 255).astype(np.uint8)
    lent = lend_palette(photo, reference)
    assert np.abs(lent.mean((0, 1)) - reference.mean((0, 1))).max() < 12
    before, after = (np.abs(one.std((0, 1)) - reference.std((0, 1))).sum() for one in (photo, lent))
    assert after < 0.6 * before
    assert abs(np.corrcoef(gray(lent).ravel(), gray(photo).ravel())[0, 1]) > 0.7


def test_a_look_draws_the_same_for_every_picture(photo: Picture) -> None:
    for seed in range(10):
        look = draw_look(np.random.default_rng(seed))
        assert np.array_equal(look.render(photo), look.render(photo))
        assert look.style in {"", *STYLES}


def test_what_is_lent_is_named(photo: Picture, make_photo: Callable[..., Picture]) -> None:
    looks = set()
    for seed in range(12):
        lent = lend(np.random.default_rng(seed), photo, "a field", make_photo(5))
        assert lent.picture.shape == photo.shape
        assert lent.caption
        looks.add(lent.look)
    assert "photo" in looks
    assert looks < set(LOOKS)


@pytest.fixture(scope="module")
def blueprints(model_folder: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs for the LoRA."""
    folder = tmp_path_factory.mktemp("blueprints")
    render_pairs(
        folder, ShardPhotos(shards), as_blueprint, FrozenModel(model_folder, CPU).autoencoder, 4, CPU
    )
    return folder


def test_pairs_are_drawn_with_and_without_words(model_folder: Path, blueprints: Path) -> None:
    model = FrozenModel(model_folder, CPU)
    pairs = Pairs(blueprints, model.tokenizer)
    assert len(pairs) == 4
    assert pairs.references is None
    drawn = draw_pairs(
        torch.Generator().manual_seed(1),
        pairs,
        model.empty,
        200,
        16,
        CPU,
        wordless_share=0.5,
        left_alone_share=0.2,
    )
    batch = drawn.batch
    assert batch.source.shape == batch.target.shape == (200, 12, 16, 16)
    wordless = (batch.ids == model.empty).all(1)
    assert 0.4 < wordless.float().mean() < 0.8
    assert wordless[drawn.left_alone].all()
    unchanged = (batch.source == batch.target).flatten(1).all(1)
    assert unchanged[drawn.left_alone].all()
    assert not unchanged[~drawn.left_alone].any()


def test_shards_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no shard"):
        ShardPhotos(tmp_path)


def test_a_lora_is_trained_goes_on_and_is_loaded(
    model_folder: Path, blueprints: Path, make_photo: Callable[..., Picture], tmp_path: Path
) -> None:
    for plan in (PLAN, AdaptingPlan(minutes=0.03, sample_minutes=1e9, rows=4, guided_from=0.5)):
        model = FrozenModel(model_folder, CPU)
        before = {name: part.clone() for name, part in model.unet.state_dict().items()}
        training = LoraTraining(model, Pairs(blueprints, model.tokenizer), tmp_path, plan, CPU)
        training.run({"field": make_photo(3, 64)})
    after = model.unet.state_dict()
    kept = [name for name in after if "lora" not in name]
    assert all(torch.equal(after[name], before[name.replace(".base_layer", "")]) for name in kept)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["minutes"] == pytest.approx(0.03, abs=0.02)
    assert len(list((tmp_path / "samples").glob("*.png"))) == 2
    assert (tmp_path / "curves.png").stat().st_size > 0
    fresh = FrozenModel(model_folder, CPU)
    lora = load_lora(tmp_path / "blueprint.safetensors", {"unet": fresh.unet})
    layers = lora.layers["unet"]
    assert any("conv1" in name for name in layers)
    assert any("attn2.to_k" in name for name in layers)
    assert any(bool(layer.up.abs().max() > 0) for layer in layers.values())


def test_a_lora_goes_on_from_an_exported_one(model_folder: Path, blueprints: Path, tmp_path: Path) -> None:
    def training(folder: Path, start: Path | None) -> LoraTraining:
        model = FrozenModel(model_folder, CPU)
        pairs = Pairs(blueprints, model.tokenizer)
        folder.mkdir()
        return LoraTraining(model, pairs, folder, PLAN, CPU, start=start)

    first = load_file(training(tmp_path / "first", None).export())
    second = load_file(training(tmp_path / "second", tmp_path / "first").export())
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_ip_adapter_is_trained_goes_on_and_is_loaded(
    model_folder: Path, shards: Path, make_photo: Callable[..., Picture], tmp_path: Path
) -> None:
    model = FrozenModel(model_folder, CPU)
    render_pairs(tmp_path / "pairs", ShardPhotos(shards), lent_pair, model.autoencoder, 4, CPU)
    pairs = Pairs(tmp_path / "pairs", model.tokenizer)
    assert pairs.references is not None
    assert pairs.references.shape == (4, 3, 144, 144)
    photos = {"field": make_photo(3, 64)}

    def training(start: Path | None = None) -> IPAdapterTraining:
        encoder = build_image_encoder(32, 2)
        folder = tmp_path / ("second" if start else "first")
        fresh = FrozenModel(model_folder, CPU)
        return IPAdapterTraining(fresh, pairs, folder, PLAN, CPU, start=start, encoder=encoder)

    training().run(photos, photos)
    first = tmp_path / "first"
    assert list((first / "samples").glob("*.png"))
    again = training(first)
    again.prompts.export(tmp_path / "second")
    for file in (FILE, f"{ENCODER}/model.safetensors"):
        trained, read = load_file(first / file), load_file(tmp_path / "second" / file)
        assert all(torch.equal(trained[name], read[name]) for name in trained), file
    adapter = load_ip_adapter(first / FILE, FrozenModel(model_folder, CPU).unet)
    assert len(adapter.layers) == 7
    width = encoder_width({name: tuple(part.shape) for name, part in load_file(first / FILE).items()})
    assert width is not None
    assert fits(first / ENCODER, width)
    encoder = ImageEncoder.load(first / ENCODER, device=CPU, dtype=torch.float32)
    embeds = encoder.encode(make_photo(3, 200), layer=adapter.reads_layer)
    assert adapter.tokens([embeds], "concat").shape == (4, 32)


def test_the_package_sees_a_reference_as_the_training_does(
    model_folder: Path, make_photo: Callable[..., Picture], tmp_path: Path
) -> None:
    from training.picture_prompts import PicturePrompts

    model = FrozenModel(model_folder, CPU)
    prompts = PicturePrompts(model.unet, model.text_encoder, build_image_encoder(32, 2)).eval()
    prompts.export(tmp_path)
    square = make_photo(3, 128)
    with torch.no_grad():
        ours = prompts.encode(torch.from_numpy(square).permute(2, 0, 1)[None])[0]
    theirs = ImageEncoder.load(tmp_path / ENCODER, device=CPU, dtype=torch.float32).encode(
        square, layer=False
    )
    assert torch.allclose(ours, theirs, atol=2e-2 * float(ours.abs().max()))


def test_pairs_without_references_train_no_ip_adapter(
    model_folder: Path, blueprints: Path, tmp_path: Path
) -> None:
    model = FrozenModel(model_folder, CPU)
    with pytest.raises(ValueError, match="no references"):
        IPAdapterTraining(model, Pairs(blueprints, model.tokenizer), tmp_path, PLAN, CPU)


def test_the_command_line_needs_a_model_data_a_folder_and_a_budget(tmp_path: Path) -> None:
    words = ["--model", "m", "--data", "d", "--out", str(tmp_path / "o"), "--minutes", "3", "--threads", "1"]
    given = command_line("lora", "", words)
    assert (given.minutes, given.device, given.start_from) == (3, "cpu", None)
    with pytest.raises(SystemExit):
        command_line("lora", "", words[2:])
