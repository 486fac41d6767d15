"""The few Exif tags that matter, read from untrusted bytes (TIFF 6.0 section 2; Exif 2.32 section 4.6)."""

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
MAKER_NOTE = 0x927C

_BYTES_PER_VALUE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def orientation(exif: bytes | None) -> int:
    """The orientation of TIFF 6.0, 1 to 8; 1 (upright) where there is none or it makes no sense.

    Only this tag is believed. XMP and ImageMagick's "Raw profile type exif" also know an orientation, which
    viewers ignore: applying it would turn a picture that everybody sees upright.
    """
    value = read_tag(exif, ORIENTATION)
    if value is None or exif is None or len(value) != 2:
        return 1
    turned = int.from_bytes(value, "little" if exif[:2] == b"II" else "big")
    return turned if 1 <= turned <= 8 else 1


def read_tag(exif: bytes | None, tag: int, *, sub_ifd: int | None = None) -> bytes | None:
    """The raw value of a tag of IFD 0, or of the directory its tag `sub_ifd` points to; None if absent."""
    if exif is None or len(exif) < 8 or exif[:4] not in (b"II*\0", b"MM\0*"):
        return None
    directory_at = _integer(exif, 4, 4)
    if sub_ifd is not None:
        pointer = _find(exif, directory_at, sub_ifd)
        if pointer is None or len(pointer) != 4:
            return None
        directory_at = int.from_bytes(pointer, "little" if exif[:2] == b"II" else "big")
    return _find(exif, directory_at, tag)


def _integer(exif: bytes, at: int, size: int) -> int:
    return int.from_bytes(exif[at : at + size], "little" if exif[:2] == b"II" else "big")


def _find(exif: bytes, directory_at: int, tag: int) -> bytes | None:
    for number in range(_integer(exif, directory_at, 2)):
        at = directory_at + 2 + 12 * number
        if at + 12 > len(exif):
            return None
        if _integer(exif, at, 2) != tag:
            continue
        size = _BYTES_PER_VALUE.get(_integer(exif, at + 2, 2), 0) * _integer(exif, at + 4, 4)
        value_at = at + 8 if size <= 4 else _integer(exif, at + 8, 4)
        value = exif[value_at : value_at + size]
        return value if size and len(value) == size else None
    return None
