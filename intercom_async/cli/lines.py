"""The lines of a file in UTF-8 or UTF-16, with or without gzip, one at a time."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, Final

from intercom_async.errors import IntercomError

LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes of a line, which bounds the memory."""

_GZIP: Final = b"\x1f\x8b"
_ARCHIVES: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""The first bytes of .xlsx and .ods, and of the older .xls."""

Lines = Iterator[tuple[int, bytes]]
"""Lines with their numbers, counted from 1."""


class SourceError(IntercomError):
    """An input cannot be read, or no further. `line` counts from 1; 0 means the whole input."""

    def __init__(self, source: str, line: int, problem: str) -> None:
        self.source = source
        self.line = line
        place = f"{source}, line {line}" if line else source
        super().__init__(f"{place}: {problem}")


def numbered_lines(stream: BinaryIO, name: str) -> Lines:
    """Yield each line as UTF-8 without a byte order mark; the stream need not seek."""
    first = stream.readline(LONGEST_LINE)
    if first.startswith(_ARCHIVES):
        raise SourceError(
            name, 0, "this is a spreadsheet or another archive; save the sheet as CSV (UTF-8)"
        )
    number = 0
    try:
        if first.startswith(_GZIP):
            unzipped = gzip.GzipFile(fileobj=_Again(first, stream))
            lines = _utf8_lines(unzipped.readline(LONGEST_LINE), unzipped)
        else:
            lines = _utf8_lines(first, stream)
        for number, line in enumerate(lines, start=1):
            if len(line) >= LONGEST_LINE:
                raise SourceError(name, number, f"longer than {LONGEST_LINE:,} bytes")
            yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(
            name, number, f"the gzip file is damaged or cut off after this line ({error})"
        ) from error


class _Again(io.RawIOBase):
    """A stream whose beginning was read already, from that beginning on."""

    def __init__(self, beginning: bytes, rest: BinaryIO) -> None:
        self._beginning = beginning
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._beginning:
            return self._rest.read(size)
        size = len(self._beginning) if size < 0 else size
        taken, self._beginning = self._beginning[:size], self._beginning[size:]
        return taken


def _utf8_lines(first: bytes, rest: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    following = iter(lambda: rest.readline(LONGEST_LINE), b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _from_utf16(chain([first], following))
    return chain([first.removeprefix(codecs.BOM_UTF8)], following)


def _from_utf16(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    begun = ""
    for piece in pieces:
        *lines, begun = (begun + decoder.decode(piece)).split("\n")
        for line in lines:
            yield f"{line}\n".encode()
        if len(begun) >= LONGEST_LINE:
            break
    yield (begun + decoder.decode(b"", final=True)).encode()
