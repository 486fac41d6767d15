"""Read files out of the packages: Debian archives, npm tarballs, wheels, and Qt resources inside them."""

import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path


class SourceError(RuntimeError):
    """A package could not be fetched, or is not the one that the manifest names."""


class Archive:
    """Read access to the files of a ``.deb``, ``.tgz`` or ``.whl`` archive."""

    def __init__(self, path: Path) -> None:
        """Open ``path``; a ``.deb`` is unpacked to a temporary folder that lives as long as this object."""
        self._path = path
        self._resources: dict[str, dict[str, bytes]] = {}
        if path.suffix == ".deb":
            self._folder = tempfile.TemporaryDirectory()
            subprocess.run(["dpkg-deb", "-x", str(path), self._folder.name], check=True)

    def read(self, name: str) -> bytes:
        """Bytes of one file; ``archive.rcc!path`` looks inside a Qt resource file."""
        if "!" in name:
            outer, inner = name.split("!")
            if outer not in self._resources:
                self._resources[outer] = qt_resources(self.read(outer))
            return self._resources[outer][inner]
        if self._path.suffix == ".deb":
            return (Path(self._folder.name) / name).read_bytes()
        if self._path.suffix == ".whl":
            with zipfile.ZipFile(self._path) as wheel:
                return wheel.read(name)
        with tarfile.open(self._path) as tar:
            member = tar.extractfile(name)
            if member is None:
                raise SourceError(f"{self._path.name} holds no file {name}")
            return member.read()

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names of the files under ``folder`` of a ``.deb`` that end in ``suffix``."""
        root = Path(self._folder.name)
        return sorted(
            str(path.relative_to(root)) for path in (root / folder).rglob(f"*{suffix}") if path.is_file()
        )


def qt_resources(data: bytes) -> dict[str, bytes]:
    """Files of a Qt binary resource (``.rcc``) by path, decompressed.

    The format: a header of five big-endian words (magic, version, offsets of tree, data and names); tree
    nodes of 22 bytes from version 2 on (name offset, flags, then child count and first child, or locale and
    data offset).
    """
    version, tree, blobs, names = struct.unpack(">4I", data[4:20])
    node_size = 22 if version >= 2 else 14
    found: dict[str, bytes] = {}

    def walk(node: int, parents: tuple[str, ...]) -> None:
        start = tree + node * node_size
        name_offset, flags = struct.unpack(">IH", data[start : start + 6])
        at = names + name_offset
        length = struct.unpack(">H", data[at : at + 2])[0]
        path = (*parents, data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")) if node else ()
        if flags & 2:
            count, first = struct.unpack(">II", data[start + 6 : start + 14])
            for child in range(first, first + count):
                walk(child, path)
            return
        blob = blobs + struct.unpack(">I", data[start + 10 : start + 14])[0]
        size = struct.unpack(">I", data[blob : blob + 4])[0]
        content = data[blob + 4 : blob + 4 + size]
        found["/".join(path)] = zlib.decompress(content[4:]) if flags & 1 else content

    walk(0, ())
    return found
