import re

import pytest

from training.judging import JUDGED_PHOTOS, JUDGING_PACKAGES
from training.manifest import DRAWINGS, FREE_LICENCES, PACKAGES, PHOTOS, Photo


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda p: p.path.split("/")[-1])
def test_every_photo_is_free_credited_and_described(photo: Photo) -> None:
    assert photo.licence in FREE_LICENCES
    assert photo.author
    assert photo.caption == photo.caption.strip() != ""
    assert photo.package in PACKAGES


def test_no_photo_is_listed_twice() -> None:
    keys = [(photo.package, photo.path) for photo in PHOTOS]
    assert len(keys) == len(set(keys))


def test_drawings_are_free_and_credited() -> None:
    assert all(d.licence in FREE_LICENCES and d.author and d.package in PACKAGES for d in DRAWINGS)


def test_every_package_is_pinned_by_version_and_hash() -> None:
    for package in (*PACKAGES.values(), *JUDGING_PACKAGES.values()):
        assert re.fullmatch(r"[0-9a-f]{64}", package.sha256)
        assert package.version
        assert package.file.endswith((".deb", ".tgz", ".whl"))


def test_what_is_judged_is_never_trained_on() -> None:
    trained = {(PACKAGES[photo.package].name, photo.path) for photo in PHOTOS}
    judged = {(JUDGING_PACKAGES[package].name, path) for _, package, path, _ in JUDGED_PHOTOS}
    assert not trained & judged
    assert not any(
        "lomiri" in package.name or package.name == "scikit-learn" for package in PACKAGES.values()
    )
    names = " ".join(path for _, path in trained)
    assert not re.search(r"astronaut|chelsea|coffee|rocket|china\.jpg", names)
