from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from training.autoencoder import build_autoencoder
from training.fields import Picture
from training.judge import (
    LABELS,
    StyleJudge,
    load_or_train_judge,
    log_odds,
    rendered_hits,
    train_judge,
    training_examples,
    verdicts,
)
from training.pictures import SourcePictures


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderTiny:
    torch.manual_seed(0)
    return build_autoencoder(width=8).eval()


@pytest.fixture(scope="module")
def judge(source_folder: Path, autoencoder: AutoencoderTiny) -> StyleJudge:
    examples = training_examples(SourcePictures(source_folder), autoencoder, 4 * len(LABELS), seed=1)
    assert (np.bincount(examples.labels) == 4).all()
    # Windows that went through an untrained autoencoder look alike.
    examples = type(examples)(statistics=examples.statistics[::2], labels=examples.labels[::2])
    return train_judge(examples, steps=120)


def test_a_judge_learns_to_tell_styles_apart(
    source_folder: Path, autoencoder: AutoencoderTiny, judge: StyleJudge
) -> None:
    fresh = training_examples(SourcePictures(source_folder), autoencoder, 2 * len(LABELS), seed=2)
    logits = judge(torch.from_numpy(fresh.statistics[::2]))
    assert (logits.argmax(1).numpy() == fresh.labels[::2]).mean() > 0.7


def test_probabilities_and_log_odds_agree(photo: Picture, judge: StyleJudge) -> None:
    pictures = np.stack([photo, photo[:, ::-1]])
    probabilities = verdicts(judge, pictures)
    assert probabilities.shape == (2, len(LABELS))
    assert np.allclose(probabilities.sum(1), 1, atol=1e-6)
    odds = probabilities / (1 - probabilities)
    assert np.allclose(np.log(odds), log_odds(judge, pictures), atol=1e-4)


def test_log_odds_stay_finite_where_a_judge_is_sure(photo: Picture, judge: StyleJudge) -> None:
    sure = StyleJudge(len(judge.mean))
    sure.load_state_dict({name: 1e4 * value for name, value in judge.state_dict().items()})
    assert np.isfinite(log_odds(sure, photo[None])).all()


def test_renditions_are_judged_for_every_label(
    photo: Picture, autoencoder: AutoencoderTiny, judge: StyleJudge
) -> None:
    hits = rendered_hits(judge, [photo], autoencoder)
    assert tuple(hits) == LABELS
    assert all(hit in (0.0, 1.0) for hit in hits.values())


def test_a_judge_is_kept(tmp_path: Path, source_folder: Path, autoencoder: AutoencoderTiny) -> None:
    pictures = SourcePictures(source_folder)
    first = load_or_train_judge(tmp_path / "judge.pt", pictures, autoencoder, count=13, steps=3)
    again = load_or_train_judge(tmp_path / "judge.pt", pictures, autoencoder, count=0)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert torch.equal(first.mean, again.mean)
