import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from training.archives import SourceError, qt_resources
from training.manifest import Package
from training.sources import fetch, iconify_svgs, render_drawing, spoken, with_article


def test_an_archive_that_is_not_the_one_in_the_manifest_is_refused(tmp_path: Path) -> None:
    package = Package(registry="npm", name="thing", version="1", file="thing-1.tgz", sha256="0" * 64)
    (tmp_path / "thing-1.tgz").write_bytes(b"something else")
    with pytest.raises(SourceError, match="sha256"):
        fetch(package, tmp_path)


def test_an_archive_with_the_right_hash_is_not_fetched_again(tmp_path: Path) -> None:
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc.whl").write_bytes(b"abc")
    package = Package(registry="pypi", name="abc", version="1", file="abc.whl", sha256=known)
    assert fetch(package, tmp_path) == tmp_path / "abc.whl"


def resource_file(files: dict[str, bytes]) -> bytes:
    """A Qt resource of one folder ``pics`` with plain and compressed files, as ``rcc`` writes it (version 2)."""
    names = b""
    offsets = {}
    for name in ("pics", *files):
        offsets[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    blobs, starts = b"", []
    for number, content in enumerate(files.values()):
        stored = struct.pack(">I", len(content)) + zlib.compress(content) if number % 2 else content
        starts.append(len(blobs))
        blobs += struct.pack(">I", len(stored)) + stored
    node = struct.pack(">IHIIQ", 0, 2, 1, 1, 0) + struct.pack(">IHIIQ", offsets["pics"], 2, len(files), 2, 0)
    for number, name in enumerate(files):
        node += struct.pack(">IHHHIQ", offsets[name], number % 2, 0, 0, starts[number], 0)
    header = 20
    return (
        struct.pack(">4sIIII", b"qres", 2, header, header + len(node), header + len(node) + len(blobs))
        + node
        + blobs
        + names
    )


def test_files_of_a_qt_resource_are_read_plain_and_compressed() -> None:
    files = {"a.webp": b"first", "b.webp": b"second " * 9}
    assert qt_resources(resource_file(files)) == {f"pics/{name}": content for name, content in files.items()}


def test_file_names_become_words() -> None:
    assert spoken("Red_Apple-02") == "red apple"
    assert spoken("blueFish") == "blue fish"
    assert with_article("orange") == "an orange"
    assert with_article("lemon") == "a lemon"


def test_a_drawing_is_cut_to_what_is_opaque() -> None:
    rectangle = '<rect x="5" width="5" height="10" fill="#f00"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">{rectangle}</svg>'
    picture = render_drawing(svg)
    assert picture is not None
    assert picture.shape[0] == pytest.approx(2 * picture.shape[1], abs=3)
    assert tuple(picture[40, 40]) == (255, 0, 0, 255)
    empty = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"></svg>'
    assert render_drawing(empty) is None


def test_signs_and_hidden_drawings_are_left_out() -> None:
    icons = {name: {"body": "<path/>"} for name in ("apple", "flag-france", "left-arrow")}
    icons["old"] = {"body": "", "hidden": True}  # type: ignore[dict-item]
    found = iconify_svgs(json.dumps({"icons": icons, "width": 32}).encode())
    assert [name for name, _ in found] == ["apple"]
    assert 'viewBox="0 0 32 32"' in found[0][1]
    assert np.char.startswith(found[0][1], "<svg")
