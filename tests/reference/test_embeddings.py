"""Textual inversions through the engine and through diffusers' `load_textual_inversion`, to 1/255 a channel."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.embeddings import write_embedding
from tests.reference.side_by_side import Asked, SideBySide, is_flat, worst_difference
from tests.reference.test_parity import REFERENCES
from underpaint.diffusion.prompt_weighting import PromptWeighting
from underpaint.engine.messages import Embedding, Picture

TOY, FOG = "<cat-toy>", "easynegative"


def widths(checkpoint: Path) -> list[int]:
    """Of the words of its text encoders."""
    folders = [
        folder for name in ("text_encoder", "text_encoder_2") if (folder := checkpoint / name).exists()
    ]
    return [int(json.loads((folder / "config.json").read_text())["hidden_size"]) for folder in folders]


def embedding(file: Path, word: str, weight: float = 1.0) -> Embedding:
    return Embedding(air="test:1@1", location=file, weight=weight, triggers=(word,))


def check(both: SideBySide, asked: Asked) -> None:
    """Agreement on a picture that is another one without the embeddings."""
    ours = both.ours(asked)
    assert worst_difference(ours, both.theirs(asked, REFERENCES[asked.scheduler])) <= 1
    assert worst_difference(ours, both.ours(replace(asked, embeddings=()))) > 10
    assert not is_flat(ours)


@pytest.mark.parametrize("weight", [1.0, -0.6])
@pytest.mark.parametrize(("word", "vectors"), [(TOY, 0), (TOY, 1), ("emb_params", 4)])
def test_one_matches(
    sd1: SideBySide, sd1_checkpoint: Path, tmp_path: Path, word: str, vectors: int, weight: float
) -> None:
    file = write_embedding(tmp_path / "toy.safetensors", *widths(sd1_checkpoint), word=word, vectors=vectors)
    check(sd1, Asked(prompt=f"a red {TOY}, by the sea", embeddings=(embedding(file, TOY, weight),)))


def test_several_match_in_both_prompts(
    sd1: SideBySide, sd1_checkpoint: Path, tmp_path: Path, photo: Picture
) -> None:
    files = [
        write_embedding(tmp_path / f"{seed}.safetensors", *widths(sd1_checkpoint), vectors=3, seed=seed)
        for seed in (1, 2)
    ]
    asked = Asked(
        prompt=f"{TOY} and {TOY} by the sea",
        negative_prompt=f"fog, {FOG}",
        embeddings=(embedding(files[0], TOY), embedding(files[1], FOG, 0.7)),
    )
    check(sd1, asked)
    check(sd1, replace(asked, picture=photo, strength=0.6, scheduler="Euler a", clip_skip=1))


def test_sd2_matches(sd2: SideBySide, sd2_checkpoint: Path, tmp_path: Path) -> None:
    file = write_embedding(tmp_path / "toy.safetensors", *widths(sd2_checkpoint))
    check(sd2, Asked(prompt=f"a {TOY}", embeddings=(embedding(file, TOY),)))


def test_sdxl_matches(sdxl: SideBySide, sdxl_checkpoint: Path, tmp_path: Path, photo: Picture) -> None:
    files = [
        write_embedding(tmp_path / f"{seed}.safetensors", *widths(sdxl_checkpoint), vectors=2, seed=seed)
        for seed in (1, 2)
    ]
    asked = Asked(
        prompt=f"a red {TOY} by the sea",
        negative_prompt=FOG,
        embeddings=(embedding(files[0], TOY), embedding(files[1], FOG, 0.7)),
    )
    check(sdxl, asked)
    check(sdxl, replace(asked, picture=photo, strength=0.5))


@pytest.mark.parametrize("syntax", ["compel", "sdEmbeds"])
def test_without_weights_a_syntax_changes_nothing(
    sd1: SideBySide, sd1_checkpoint: Path, tmp_path: Path, syntax: PromptWeighting
) -> None:
    file = write_embedding(tmp_path / "toy.safetensors", *widths(sd1_checkpoint), vectors=3)
    asked = Asked(prompt="a red bad-hands-5 by the sea", embeddings=(embedding(file, "Bad-Hands-5"),))
    plain = sd1.ours(asked)
    read = replace(asked, prompt_weighting=syntax)
    assert worst_difference(plain, sd1.ours(read)) <= 1
    weighted = (
        "a red (bad-hands-5)1.6 by the sea" if syntax == "compel" else "a red (bad-hands-5:1.6) by the sea"
    )
    assert worst_difference(plain, sd1.ours(replace(read, prompt=weighted))) > 3
