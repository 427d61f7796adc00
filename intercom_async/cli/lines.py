"""The lines of an input, in UTF-8 or UTF-16, with or without gzip, read as far as they are needed.

A line ends with LF: a lone CR may stand in a cell. Bytes that are not UTF-8 become lone surrogates.
"""

import codecs
import gzip
import io
import zlib
from collections import deque
from typing import Final, Self

from intercom_async.errors import IntercomError

LONGEST: Final = 64 * 1024 * 1024
"""Characters of a line, a row or a JSON array, at most: the bound of the memory."""

_GZIP: Final = b"\x1f\x8b"
_DAMAGES: Final = (EOFError, zlib.error, gzip.BadGzipFile)
_BINARY: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"SQLi")
"""The first bytes of .xlsx and .ods, of the older .xls, and of a journal."""


class SourceError(IntercomError):
    """An input cannot be read, or no further. `place` is like "line 7"; "" for the whole input."""

    def __init__(self, source: str, place: str, problem: str) -> None:
        self.source = source
        self.place = place
        super().__init__(f"{source}, {place}: {problem}" if place else f"{source}: {problem}")


class Lines:
    """An iterator of numbered lines that can give back those of the row that is being read.

    Attributes:
        number: of the line that was read last, counted from 1.
        row: the lines that were read since the last `begin`.
        again: lines that were given back.
    """

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._name = name
        self._text = _decoded(stream, name)
        self._size = 0
        self.number = 0
        self.row: list[str] = []
        self.again: deque[str] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if self._size > LONGEST:  # the row ends here, whatever it lacks
            raise StopIteration
        line = self.again.popleft() if self.again else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self._size += len(line)
        self.row.append(line)
        return line

    def close(self) -> None:
        """Close the stream."""
        self._text.close()

    @property
    def first(self) -> int:
        """The number of the row's first line."""
        return self.number - len(self.row) + 1

    def begin(self) -> None:
        """Begin another row."""
        self.row = []
        self._size = 0

    def give_back(self, kept: int = 0) -> None:
        """Let all lines of the row but the first ones be read again."""
        self.again.extendleft(reversed(self.row[kept:]))
        self.number -= len(self.row) - kept
        self.begin()

    def rest(self) -> str:
        """Return all lines that are left, after a line break for each line before them."""
        text = "\n" * self.number + "".join(self)
        if len(text) > LONGEST:
            advice = "write JSON lines, for example with jq -c '.[]'"
            raise self.error(f"more than {LONGEST:,} characters; {advice}", whole=True)
        return text

    def error(self, problem: str, *, whole: bool = False) -> SourceError:
        """Return an error that names the line that was read last, or the whole input."""
        return SourceError(self._name, "" if whole else f"line {self.number}", problem)

    def _read(self) -> str:
        try:
            line = self._text.readline(LONGEST + 1)
        except _DAMAGES as error:
            problem = f"the gzip file is damaged or cut off after this line ({error})"
            raise self.error(problem) from error
        if len(line) > LONGEST:
            self.number += 1
            raise self.error(f"longer than {LONGEST:,} characters")
        return line


def _decoded(stream: io.BufferedReader | gzip.GzipFile, name: str) -> io.TextIOWrapper:
    first = stream.peek(4)
    if first.startswith(_BINARY):
        problem = "this is a spreadsheet, an archive or a database; save it as CSV (UTF-8)"
        raise SourceError(name, "", problem)
    if first.startswith(_GZIP):
        stream = gzip.GzipFile(fileobj=stream)
        try:
            first = stream.peek(2)
        except _DAMAGES as error:
            raise SourceError(name, "", f"the gzip file is damaged ({error})") from error
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.TextIOWrapper(stream, "utf-16", "replace", newline="\n")
    return io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="\n")
