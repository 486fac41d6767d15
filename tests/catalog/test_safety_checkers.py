"""What is taken for a safety checker, and which of its labels for unsafe."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.safety_checkers import write_classifier, write_concept_checker
from underpaint.catalog import safety_checkers as module
from underpaint.catalog.download import DownloadFailed
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safety_checkers import safety_checker


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("safety") / "classifier")


def labelled(folder: Path, copy: Path, labels: list[str]) -> str:
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["id2label"] = {str(index): label for index, label in enumerate(labels)}
    (copy / "config.json").write_text(json.dumps(config))
    return str(copy)


@pytest.mark.parametrize(
    ("labels", "unsafe"),
    [
        (["normal", "nsfw"], ("nsfw",)),
        (["SFW", "NSFW"], ("NSFW",)),
        (["Safe", "Unsafe"], ("Unsafe",)),
        (["drawings", "hentai", "neutral", "porn", "sexy"], ("hentai", "porn", "sexy")),
        (["Anime Picture", "Hentai", "Normal", "Enticing or Sensual"], ("Hentai", "Enticing or Sensual")),
        (["non-nude", "nude"], ("nude",)),
        (["no_sexual_content", "sexual_content"], ("sexual_content",)),
    ],
)
def test_labels_that_sound_unsafe_are(
    labels: list[str], unsafe: tuple[str, ...], classifier: Path, tmp_path: Path
) -> None:
    found = safety_checker(labelled(classifier, tmp_path / "m", labels))
    assert (found.folder, found.unsafe_labels) == (tmp_path / "m", unsafe)


def test_labels_can_be_chosen(classifier: Path, tmp_path: Path) -> None:
    name = labelled(classifier, tmp_path / "m", ["cat", "dog"])
    assert safety_checker(name, unsafe_labels=["dog"]).unsafe_labels == ("dog",)
    with pytest.raises(ModelRefused, match="cat, dog, and not bird"):
        safety_checker(name, unsafe_labels=["dog", "bird"])
    with pytest.raises(ModelRefused, match="safety_labels must say"):
        safety_checker(name)


def test_the_checker_of_stable_diffusion_has_no_labels(tmp_path: Path) -> None:
    folder = write_concept_checker(tmp_path / "safety_checker")
    assert safety_checker(str(folder)).unsafe_labels is None
    with pytest.raises(ModelRefused, match="has no labels"):
        safety_checker(str(folder), unsafe_labels=["nsfw"])


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("config.json", "cannot be read"),
        ("model.safetensors", "pickle"),
        ("preprocessor_config.json", "no preprocessor_config.json"),
        ("everything", "there is no folder"),
        ("architecture", "no image classifier, but CLIPModel"),
        ("the end", "model.safetensors"),
    ],
)
def test_what_is_incomplete_is_refused(missing: str, reason: str, classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "m"))
    weights = folder / "model.safetensors"
    if missing == "everything":
        shutil.rmtree(folder)
    elif missing == "architecture":
        (folder / "config.json").write_text('{"architectures": ["CLIPModel"]}')
    elif missing == "the end":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        (folder / missing).unlink()
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(ModelRefused, match=reason):
        safety_checker(str(folder))


@pytest.mark.parametrize("known", [True, False])
def test_hub_repositories_are_fetched_once_and_without_what_could_run(
    known: bool, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def snapshot(name: str, *, local_files_only: bool = False, **options: Any) -> str:
        asked.append({"name": name, "local": local_files_only, **options})
        if local_files_only and not known:
            raise LocalEntryNotFoundError("not there")
        return str(classifier)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(module, "is_offline", lambda: False)
    assert safety_checker("someone/checker@abc").folder == classifier
    assert [each["local"] for each in asked] == ([True] if known else [True, False])
    assert {each["name"] for each in asked} == {"someone/checker"}
    assert {each["revision"] for each in asked} == {"abc"}
    assert not any(
        pattern.endswith((".py", ".bin", ".pt")) for each in asked for pattern in each["allow_patterns"]
    )
    monkeypatch.setattr(module, "is_offline", lambda: True)
    if not known:
        with pytest.raises(DownloadFailed, match="offline"):
            safety_checker("someone/checker")


def test_what_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_offline", lambda: True)
    with pytest.raises(ModelRefused, match="neither a folder nor a hub id"):
        safety_checker("a/b/c/d")
