"""Finished pictures are judged where that is asked for, and never taken for safe when there is no answer."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.engine.driving import Driven, job_request
from tests.safety_checkers import BLACK, WHITE, write_classifier, write_concept_checker
from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import SafetyCheck
from underpaint.engine.safety import KeptSafetyChecker, SafetyChecker
from underpaint.engine.weights import weights_bytes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> SafetyCheck:
    folder = write_classifier(tmp_path_factory.mktemp("safety") / "classifier")
    return SafetyCheck(location=folder, unsafe_labels=("nsfw",))


@pytest.fixture(scope="module")
def concepts(tmp_path_factory: pytest.TempPathFactory) -> SafetyCheck:
    folder = write_concept_checker(tmp_path_factory.mktemp("safety") / "safety_checker")
    return SafetyCheck(location=folder, unsafe_labels=None)


def unchanged(job_id: str, folder: Path, picture: Picture, **more: Any) -> Any:
    """A job for which no step runs."""
    return job_request(job_id, folder, picture=picture, strength=0.0, **more)


@pytest.mark.parametrize("kind", ["classifier", "concepts"])
def test_both_kinds_judge_pictures(
    kind: str, sd1_checkpoint: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    check: SafetyCheck = request.getfixturevalue(kind)
    driven = Driven()
    driven.finish(
        unchanged("white", sd1_checkpoint, WHITE, safety_check=check),
        unchanged("black", sd1_checkpoint, BLACK, safety_check=check),
        unchanged("unasked", sd1_checkpoint, WHITE),
        job_request("made", sd1_checkpoint, safety_check=check),
        job_request("made and unasked", sd1_checkpoint),
    )
    assert driven.finished("white").unsafe is True
    assert driven.finished("black").unsafe is False
    assert driven.finished("unasked").unsafe is driven.finished("made and unasked").unsafe is None
    # What is judged is the finished picture, which stays as it is.
    made = driven.finished("made")
    assert made.unsafe is SafetyChecker.load(check, device=CPU).is_unsafe(made.picture)
    assert (made.picture == driven.picture("made and unasked")).all()
    assert (driven.picture("white") == WHITE).all()
    assert "lack image" not in caplog.text


def test_a_classifier_says_what_its_library_says(classifier: SafetyCheck) -> None:
    from transformers import pipeline

    with quiet_libraries():
        judged = pipeline("image-classification", model=str(classifier.location))
    from PIL import Image

    for picture in (WHITE, BLACK):
        scores = {each["label"]: each["score"] for each in judged(Image.fromarray(picture))}
        for threshold in (scores["nsfw"] - 0.01, scores["nsfw"] + 0.01):
            check = SafetyCheck(
                location=classifier.location, unsafe_labels=("nsfw",), threshold=max(1e-6, threshold)
            )
            expected = threshold < scores["nsfw"]
            assert SafetyChecker.load(check, device=CPU).is_unsafe(picture) is expected


def test_probabilities_of_unsafe_labels_add_up(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", labels=("neutral", "porn", "hentai"), unsafe="porn")
    alone = SafetyCheck(location=folder, unsafe_labels=("porn",), threshold=0.999)
    all_of_them = SafetyCheck(location=folder, unsafe_labels=("neutral", "porn", "hentai"), threshold=0.999)
    assert not SafetyChecker.load(alone, device=CPU).is_unsafe(BLACK)
    assert SafetyChecker.load(all_of_them, device=CPU).is_unsafe(BLACK)


def damaged(check: SafetyCheck, folder: Path, damage: str) -> SafetyCheck:
    copied = Path(shutil.copytree(check.location, folder / check.location.name))
    weights = load_file(copied / "model.safetensors")
    [name] = [each for each in weights if each in ("classifier.weight", "visual_projection.weight")]
    if damage == "missing":
        del weights[name]
    elif damage == "nan":
        weights[name][0, 0] = torch.nan
    else:
        weights[name][:] = 3e38
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    return SafetyCheck(location=copied, unsafe_labels=check.unsafe_labels)


@pytest.mark.parametrize("kind", ["classifier", "concepts"])
@pytest.mark.parametrize("damage", ["missing", "nan"])
def test_one_that_cannot_be_used_fails_its_jobs_before_their_steps_and_no_others(
    kind: str, damage: str, sd1_checkpoint: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    check = damaged(request.getfixturevalue(kind), tmp_path, damage)
    driven = Driven()
    driven.finish(
        job_request("a", sd1_checkpoint, safety_check=check),
        unchanged("b", sd1_checkpoint, BLACK, safety_check=check),
        job_request("c", sd1_checkpoint),
    )
    assert driven.failed("a").code == driven.failed("b").code == "modelLoad"
    assert check.location.name in driven.failed("a").message
    assert not any(progress.step for progress in driven.progress("a"))
    assert driven.finished("c").unsafe is None


@pytest.mark.parametrize("kind", ["classifier", "concepts"])
def test_no_answer_is_no_safe_picture(
    kind: str, sd1_checkpoint: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    check = damaged(request.getfixturevalue(kind), tmp_path, "overflowing")
    driven = Driven()
    driven.finish(
        job_request("a", sd1_checkpoint, safety_check=check),
        unchanged("b", sd1_checkpoint, BLACK, safety_check=check),
    )
    assert "gave no answer" in driven.failed("a").message
    assert "gave no answer" in driven.failed("b").message


def test_a_label_that_it_does_not_have_is_no_safe_picture(classifier: SafetyCheck) -> None:
    check = SafetyCheck(location=classifier.location, unsafe_labels=("gore",))
    with pytest.raises(ModelLoadError, match="only normal, nsfw"):
        SafetyChecker.load(check, device=CPU)


def test_its_memory_is_part_of_the_budget_of_models(classifier: SafetyCheck, sd1_checkpoint: Path) -> None:
    both = weights_bytes(sd1_checkpoint, torch.float32) + 1
    driven = Driven(models_bytes=both)
    driven.finish(job_request("a", sd1_checkpoint))
    reference = job_request("x", sd1_checkpoint).model
    assert reference in driven.engine._models
    driven.engine._safety.get(classifier)
    assert reference not in driven.engine._models
    # One model is loaded in any case, and the checker stays.
    driven.finish(job_request("b", sd1_checkpoint, safety_check=classifier))
    assert driven.finished("b").unsafe is not None


def test_it_is_loaded_once_and_gives_its_room_back(
    classifier: SafetyCheck, concepts: SafetyCheck, tmp_path: Path
) -> None:
    asked: list[int] = []
    kept = KeptSafetyChecker(CPU, lambda size, name: asked.append(size))
    first = kept.get(classifier)
    assert kept.get(classifier) is first
    assert asked == [pytest.approx(first.size_bytes, rel=0.1)]
    kept.get(concepts)
    assert asked[1] == -asked[0]
    assert len(asked) == 3
    with pytest.raises(ModelLoadError):
        kept.get(SafetyCheck(location=tmp_path / "none", unsafe_labels=("nsfw",)))
    assert sum(asked) == 0
