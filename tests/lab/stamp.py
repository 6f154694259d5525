# SPDX-License-Identifier: Apache-2.0
"""The stamps of stamp.h for the host: prefills volumes and checks them."""

import ctypes
import functools
from dataclasses import dataclass

from .build import compile_c

SECTOR = 512
CHUNK = 1 << 20  # bytes at a time; a multiple of the prefill extent of 64 KiB
FILL_EXTENT = 64 << 10


class _Check(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("digest", "holes", "written", "broken", "first_broken")]


@functools.cache
def _library():
    library = ctypes.CDLL(str(compile_c("stamp.c", "stamp.so", "-shared", "-fPIC")))
    library.stamp_volume_id.restype = ctypes.c_uint64
    library.stamp_volume_id.argtypes = [ctypes.c_char_p]
    library.stamp_prefill.restype = ctypes.c_bool
    library.stamp_prefill.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32,
    ]  # fmt: skip
    library.stamp_check.restype = None
    library.stamp_check.argtypes = [
        ctypes.POINTER(_Check), ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_uint64,
    ]  # fmt: skip
    return library


@dataclass(frozen=True)
class Verdict:
    """What a volume holds. Counts are sectors; `digest` is the one the guest prints for `sum`."""

    digest: str
    sectors: int
    holes: int
    written: int
    broken: int
    first_broken: int | None


def prefill(path, volume, size, fill=500):
    """Makes a sparse raw image of SIZE bytes of which FILL per mille hold stamps, the rest are holes."""
    if size <= 0 or size % SECTOR:
        raise ValueError(f"volume {volume}: size {size} is not a positive multiple of {SECTOR} bytes")
    library = _library()
    identity = library.stamp_volume_id(volume.encode())
    buffer = ctypes.create_string_buffer(FILL_EXTENT)
    with open(path, "wb") as image:
        image.truncate(size)
        for offset in range(0, size, FILL_EXTENT):
            length = min(FILL_EXTENT, size - offset)
            if library.stamp_prefill(buffer, length // SECTOR, offset // SECTOR, identity, fill):
                image.seek(offset)
                image.write(buffer.raw[:length])


def check(volume, size, read):
    """Checks all sectors of a volume; READ(offset, length) returns its bytes."""
    library = _library()
    identity = library.stamp_volume_id(volume.encode())
    result = _Check()
    for offset in range(0, size, CHUNK):
        data = bytes(read(offset, min(CHUNK, size - offset)))
        library.stamp_check(ctypes.byref(result), data, len(data) // SECTOR, offset // SECTOR, identity)
    return Verdict(
        digest=f"{result.digest:016x}",
        sectors=size // SECTOR,
        holes=result.holes,
        written=result.written,
        broken=result.broken,
        first_broken=result.first_broken if result.broken else None,
    )
