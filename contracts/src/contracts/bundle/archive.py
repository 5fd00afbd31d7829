"""The zip of a bundle in its one canonical form: stored, in a fixed order, without times, attributes, extra fields or comments.

A reader takes the files out and writes the zip again; only the same bytes are accepted. Nothing is ever inflated.
"""

import re
import struct
import zlib
from collections.abc import Sequence
from typing import Final

from contracts.bundle.manifest import BundleError

MAX_BUNDLE_BYTES: Final = 64 * 1024 * 1024
MAX_FILES: Final = 256

_NAME: Final = re.compile(rb"(?:tables/)?[a-z][a-z0-9_.-]{0,90}")
_VERSION: Final = 20
_FIRST_DAY: Final = 0x0021
"""1 January 1980, the first day a zip can name."""
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_LOCAL_MARK: Final = b"PK\x03\x04"


def write_archive(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the zip of these files in this order."""
    body = bytearray()
    directory = bytearray()
    for name, content in files:
        encoded = name.encode("ascii")
        offset = len(body)
        size = len(content)
        crc = zlib.crc32(content)
        body += _LOCAL.pack(_LOCAL_MARK, _VERSION, 0, 0, 0, _FIRST_DAY, crc, size, size, len(encoded), 0) + encoded
        body += content
        directory += _CENTRAL.pack(
            b"PK\x01\x02", _VERSION, _VERSION, 0, 0, 0, _FIRST_DAY, crc, size, size, len(encoded), 0, 0, 0, 0, 0, offset
        )
        directory += encoded
    end = _END.pack(b"PK\x05\x06", 0, 0, len(files), len(files), len(directory), len(body), 0)
    return bytes(body + directory + end)


def read_archive(raw: bytes) -> list[tuple[str, bytes]]:
    """Take a canonical zip apart, files in their order; raises BundleError for every other text."""
    if len(raw) > MAX_BUNDLE_BYTES:
        raise BundleError("It is larger than a bundle may be.")
    files: list[tuple[str, bytes]] = []
    offset = 0
    while raw[offset : offset + len(_LOCAL_MARK)] == _LOCAL_MARK:
        if len(files) == MAX_FILES:
            raise BundleError("It holds more files than a bundle may.")
        if len(raw) < offset + _LOCAL.size:
            raise BundleError("It is cut short.")
        fields = _LOCAL.unpack_from(raw, offset)
        stored, name_length = fields[7], fields[9]
        start = offset + _LOCAL.size + name_length
        offset = start + stored
        if offset > len(raw):
            raise BundleError("It is cut short.")
        name = raw[start - name_length : start]
        if not _NAME.fullmatch(name):
            raise BundleError("It holds a file whose name no bundle has.")
        files.append((name.decode("ascii"), raw[start:offset]))
    if not files:
        raise BundleError("It is not a bundle.")
    if len({name for name, _ in files}) != len(files):
        raise BundleError("It holds a file twice.")
    if write_archive(files) != raw:
        raise BundleError("It is not byte for byte the one canonical form of its files.")
    return files
