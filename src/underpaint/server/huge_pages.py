"""Huge pages for what the process has in its memory by the end of its start: modules, functions, settings.

A request runs through a thousand functions, scattered over more pages than a processor remembers the addresses of; for
the others it walks through the kernel's tables, in a virtual machine through two of them. In huge pages the same memory
has a few dozen addresses (docs/decisions/029).
"""

import ctypes
import logging
import mmap
import sys
from pathlib import Path

import psutil

HUGE_PAGE_BYTES = 2 * 2**20
_MADV_COLLAPSE = 25
"""Linux 6.1. `mmap` does not have it, and only advises on mappings of its own."""
_LEAST_USED = 0.75
"""Of a mapping, for it to be worth it: a thread's stack is megabytes, of which it uses few."""
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")

log = logging.getLogger(__name__)


def use_huge_pages() -> int:
    """Have the kernel move what is there into huge pages, and tell how many bytes it has moved.

    Only on Linux, and not where the machine's owner has switched huge pages off. Takes up to a second.
    """
    if sys.platform != "linux" or mmap.PAGESIZE >= HUGE_PAGE_BYTES or _switched_off():
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    moved = 0
    for start, end in _well_used():
        start, end = -(-start // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES, end // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES
        if start >= end:
            continue
        if madvise(start, end - start, _MADV_COLLAPSE):
            log.debug("no huge pages for %d bytes: error %d", end - start, ctypes.get_errno())
        else:
            moved += end - start
    return moved


def _well_used() -> list[tuple[int, int]]:
    """First address of each of the process's own mappings, and the one behind it."""
    try:
        mappings = psutil.Process().memory_maps(grouped=False)
    except (psutil.Error, OSError) as failure:
        log.debug("no huge pages: %s", failure)
        return []
    return [
        (int(start, 16), int(end, 16))
        for mapping in mappings
        for start, end in [mapping.addr.split("-")]
        if mapping.path in ("[heap]", "[anon]")
        and mapping.perms.startswith("rw")
        and mapping.rss >= _LEAST_USED * mapping.size
    ]


def _switched_off() -> bool:
    try:
        return "[never]" in _SETTING.read_text()
    except OSError:
        return True
