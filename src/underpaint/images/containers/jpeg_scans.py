"""JPEG: what makes a decoder give up in the midst of a picture, found before it begins (ITU-T T.81 annexes B, C and G).

A decoder keeps the coefficients of a file with several scans, six bytes for each pixel, and meets a fault of a later
scan only when it holds all of them. Damage within the entropy-coded data itself is no such fault: decoders go on.
"""

from underpaint.images.limits import damaged

_SEQUENTIAL, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_DC, _AC = 0, 1
_TABLES = range(4)
_MAX_BLOCKS_IN_MCU = 10
_LAST_DC_CATEGORY = 15


class ScanRules:
    """Follows the segments of one file. Every method takes a segment without its length, and raises `ImageRejected`."""

    def __init__(self) -> None:
        self._progressive = False
        self._blocks: dict[int, int] = {}
        """Blocks of each component, by its identifier, in a unit of a scan with several components."""
        self._quantization_of: dict[int, int] = {}
        self._quantization: set[int] = set()
        self._huffman: set[tuple[int, int]] = set()

    def frame(self, marker: int, segment: bytes) -> None:
        """Read the frame header: which components there are."""
        if marker not in (_SEQUENTIAL, _EXTENDED, _PROGRESSIVE) or segment[0] != 8:
            raise damaged("JPEG", "its kind of coding is not one that is read here")
        self._progressive = marker == _PROGRESSIVE
        if not self._progressive:
            # Frames cut out of a video leave out the tables of annex K, and decoders fill them in.
            self._huffman |= {(kind, table) for kind in (_DC, _AC) for table in (0, 1)}
        count = segment[5]
        if not 1 <= count <= 4 or len(segment) != 6 + 3 * count:
            raise damaged("JPEG", "its frame header has the wrong length")
        for at in range(6, len(segment), 3):
            component, sampling, table = segment[at : at + 3]
            horizontal, vertical = sampling >> 4, sampling & 15
            if not (1 <= horizontal <= 4 and 1 <= vertical <= 4) or component in self._blocks:
                raise damaged("JPEG", "its components are impossible")
            self._blocks[component] = horizontal * vertical
            self._quantization_of[component] = table

    def quantization_tables(self, segment: bytes) -> None:
        """Note which tables there are."""
        at = 0
        while at < len(segment):
            precision, table = segment[at] >> 4, segment[at] & 15
            at += 1 + 64 * (1 + precision)
            if precision > 1 or table not in _TABLES or at > len(segment):
                raise damaged("JPEG", "a quantization table is impossible")
            self._quantization.add(table)

    def huffman_tables(self, segment: bytes) -> None:
        """Check that each table is a prefix code, and note which there are."""
        at = 0
        while at < len(segment):
            kind, table, counts = segment[at] >> 4, segment[at] & 15, segment[at + 1 : at + 17]
            values = segment[at + 17 : at + 17 + sum(counts)]
            at += 17 + sum(counts)
            if kind not in (_DC, _AC) or table not in _TABLES or at > len(segment) or not _is_code(counts):
                raise damaged("JPEG", "a Huffman table is impossible")
            if kind == _DC and max(values, default=0) > _LAST_DC_CATEGORY:
                raise damaged("JPEG", "a Huffman table is impossible")
            self._huffman.add((kind, table))

    def scan(self, segment: bytes) -> None:
        """Check a scan header against the frame and the tables so far."""
        count = segment[0] if segment else 0
        if not 1 <= count <= 4 or len(segment) != 4 + 2 * count:
            raise damaged("JPEG", "a scan header has the wrong length")
        tables = {segment[at]: segment[at + 1] for at in range(1, 1 + 2 * count, 2)}
        if len(tables) != count or not tables.keys() <= self._blocks.keys():
            raise damaged("JPEG", "a scan is of components that do not exist")
        if count > 1 and sum(self._blocks[component] for component in tables) > _MAX_BLOCKS_IN_MCU:
            raise damaged("JPEG", "a scan has too many components")
        first, last, high, low = *segment[-3:-1], segment[-1] >> 4, segment[-1] & 15
        if self._progressive:
            whole_band = last == 0 if first == 0 else first <= last < 64 and count == 1
            if not whole_band or (high and low != high - 1) or low > 13:
                raise damaged("JPEG", "a scan is of coefficients that do not exist")
        for component, named in tables.items():
            needed = {(_DC, named >> 4), (_AC, named & 15)}
            if self._progressive:
                # The first coefficient has scans of its own, of which later ones only add bits.
                needed = {(_AC, named & 15)} if first else set() if high else {(_DC, named >> 4)}
            if not needed <= self._huffman or self._quantization_of[component] not in self._quantization:
                raise damaged("JPEG", "a scan needs a table that is not there")


def _is_code(counts: bytes) -> bool:
    """Whether so many codes of 1 to 16 bits can exist, none of them all ones (annex C)."""
    code = 0
    for length, count in enumerate(counts, 1):
        code += count
        if code >= 1 << length:
            return False
        code <<= 1
    return len(counts) == 16
