"""The process's memory, made ready for service once everything is loaded.

A server that sleeps between two messages finds its caches cold when it wakes, and the translations of
its pages with them: a request touches some two hundred pages of the interpreter's heap. Large pages make
a handful of them.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LARGE_PAGE: Final = 2 << 20
_MADV_HUGEPAGE: Final = 14
_MADV_COLLAPSE: Final = 25  # Linux 6.1
_MOST: Final = 256 << 20
"""Bytes of one region beyond which nothing is moved: it takes a second a gigabyte."""
_REGION: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0\s*(\[heap\])?$")
_log = logging.getLogger("sipyard.memory")


def settle() -> None:
    """Keep the collector off what was just loaded (a million bindings, say), let it look for cycles rarely
    (messages make none, so a collection finds next to nothing and stops the server for as long as it takes),
    and move the heap to large pages where the system has them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        count = use_large_pages()
    except OSError as error:
        _log.debug("memory stays in small pages: %s", error)
    else:
        _log.debug("%d regions of memory may use large pages", count)


def use_large_pages() -> int:
    """Ask for large pages in all private memory of this process, and move there what is in use already.
    Returns in how many regions the system agreed; without transparent huge pages that is none.

    :raises OSError: this is no Linux, or it does not tell where the memory is.
    """
    advise = ctypes.CDLL(None, use_errno=True).madvise
    agreed = 0
    for start, length in _regions():
        place, size = ctypes.c_void_p(start), ctypes.c_size_t(length)
        if advise(place, size, _MADV_HUGEPAGE) != 0:
            continue
        agreed += 1
        if length <= _MOST:
            advise(place, size, _MADV_COLLAPSE)  # where the kernel is older it does this by itself, later
    return agreed


def _regions() -> Iterator[tuple[int, int]]:
    """Start and length of the whole large pages in each private anonymous region."""
    for line in Path("/proc/self/maps").read_text("ascii", "replace").splitlines():
        found = _REGION.match(line)
        if found is None:
            continue
        start, end = int(found[1], 16), int(found[2], 16)
        start, end = -(-start // LARGE_PAGE) * LARGE_PAGE, end // LARGE_PAGE * LARGE_PAGE
        if end > start:
            yield start, end - start
