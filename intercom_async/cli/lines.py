"""The lines of an input, in UTF-8 or UTF-16, with or without gzip, read as far as they are needed.

A line ends with LF: a lone CR may stand in a cell. Bytes that are not UTF-8 become lone surrogates.
"""

import codecs
import functools
import gzip
import io
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Self

from intercom_async.errors import IntercomError

LONGEST: Final = 64 * 1024 * 1024
"""Characters of a line, a row or a JSON array, at most: the bound of the memory."""

_GZIP: Final = b"\x1f\x8b"
_BINARY: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"SQLi")
"""The first bytes of .xlsx and .ods, of the older .xls, and of a journal."""


class SourceError(IntercomError):
    """An input cannot be read, or no further. `place` is like "line 7"; "" for the whole input."""

    def __init__(self, source: str, place: str, problem: str) -> None:
        self.source = source
        self.place = place
        super().__init__(f"{source}, {place}: {problem}" if place else f"{source}: {problem}")


class Lines:
    """An iterator of the lines of a stream that can be read again from any of them.

    Attributes:
        number: of the line that was read last, counted from 1.
    """

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._stream = stream
        self._name = name
        self._again = deque[str]()
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        return line

    def take(self, taken: list[str]) -> Iterator[str]:
        """Yield lines and keep them in `taken`, until they have more than `LONGEST` characters."""
        size = 0
        while size <= LONGEST and (line := next(self, None)) is not None:
            size += len(line)
            taken.append(line)
            yield line

    def give_back(self, taken: Sequence[str]) -> None:
        """Let the lines that were read last be read again."""
        self._again.extendleft(reversed(taken))
        self.number -= len(taken)

    def error(self, problem: str, *, whole: bool = False) -> SourceError:
        """Return an error that names the line that was read last, or the whole input."""
        place = "" if whole or not self.number else f"line {self.number}"
        return SourceError(self._name, place, problem)

    def _read(self) -> str:
        try:
            line = self._text.readline(LONGEST + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            problem = f"the gzip file is damaged or cut off after this line ({error})"
            raise self.error(problem) from error
        if len(line) > LONGEST:
            self.number += 1
            raise self.error(f"longer than {LONGEST:,} characters")
        return line

    @functools.cached_property
    def _text(self) -> io.TextIOWrapper:
        stream: io.BufferedReader | gzip.GzipFile = self._stream
        if stream.peek(4).startswith(_BINARY):
            problem = "this is a spreadsheet, an archive or a database; save it as CSV (UTF-8)"
            raise self.error(problem)
        if stream.peek(2).startswith(_GZIP):
            stream = gzip.GzipFile(fileobj=stream)
        if stream.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return io.TextIOWrapper(stream, "utf-16", "replace", newline="\n")
        return io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="\n")
