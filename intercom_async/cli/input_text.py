"""The text of an input, in UTF-8 or UTF-16, with or without gzip, read as far as it is needed."""

import codecs
import functools
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import Final

from intercom_async.errors import IntercomError

LONGEST: Final = 64 * 1024 * 1024
"""Characters of a line, a row or an element, at most: the bound of the memory."""

_PIECE: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"
_ARCHIVES: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""The first bytes of .xlsx and .ods, and of the older .xls."""

_LINE: Final = re.compile(r"[^\n]*+\n")
_NEXT: Final = re.compile(r"\s*+(\S)")


class SourceError(IntercomError):
    """An input cannot be read, or no further. `line` counts from 1; 0 means the whole input."""

    def __init__(self, source: str, line: int, problem: str) -> None:
        self.source = source
        self.line = line
        place = f"{source}, line {line}" if line else source
        super().__init__(f"{place}: {problem}")


class Text:
    """A part of an input's text; what comes next begins at `at`, in line `line`.

    The whole text ends with a line break, also where the input has none. Bytes that are not UTF-8
    become lone surrogates.
    """

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        if stream.peek(len(_ARCHIVES[0])).startswith(_ARCHIVES):
            problem = "this is a spreadsheet or another archive; save the sheet as CSV (UTF-8)"
            raise SourceError(name, 0, problem)
        self.text = ""
        self.at = 0
        self.line = 1
        self._name = name
        self._pieces = _decoded(stream)

    def error(self, problem: str, *, line: int | None = None) -> SourceError:
        """Return an error that names the place; the end of the text is in its last line."""
        here = self.line - (self.at == len(self.text))
        return SourceError(self._name, here if line is None else line, problem)

    def take(self, end: int) -> str:
        """Return the text up to `end`, and pass it."""
        taken = self.text[self.at : end]
        self.line += taken.count("\n")
        self.at = end
        return taken

    def line_end(self) -> int:
        """Return the end of the next line, 0 after the last one."""
        line = self.match(_LINE)
        return 0 if line is None else line.end()

    def line_ahead(self) -> str:
        """Return the next line without passing it, "" after the last one."""
        line = self.match(_LINE)
        return "" if line is None else line[0]

    def look(self) -> str:
        """Pass white space, and return the character after it, "" at the end."""
        ahead = self.match(_NEXT)
        self.take(len(self.text) if ahead is None else ahead.start(1))
        return "" if ahead is None else ahead[1]

    def match(self, pattern: re.Pattern[str], longest: int | None = None) -> re.Match[str] | None:
        """Match what comes next, and read on until it matches; None if it does not."""
        while (ahead := pattern.match(self.text, self.at)) is None:
            beyond = longest is not None and len(self.text) - self.at > longest
            if beyond or not self.grow():
                return None
        return ahead

    def grow(self) -> bool:
        """Read on; return False at the end. A long text doubles, so that little is read twice."""
        rest = self.text[self.at :]
        if len(rest) > LONGEST:
            raise self.error(f"longer than {LONGEST:,} characters")
        parts, wanted = [rest], len(rest) - _PIECE
        try:
            for piece in self._pieces:
                parts.append(piece)
                wanted -= len(piece)
                if wanted <= 0:
                    break
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            problem = f"the gzip file is damaged or cut off after this line ({error})"
            raise self.error(problem, line=self.line - 1) from error
        if len(parts) > 1:
            self.text, self.at = "".join(parts), 0
        return len(parts) > 1


def _decoded(stream: io.BufferedReader | gzip.GzipFile) -> Iterator[str]:
    first = stream.peek(len(_GZIP))
    if first.startswith(_GZIP):
        stream = gzip.GzipFile(fileobj=stream)
        first = stream.peek(len(codecs.BOM_UTF16))
    pieces = iter(functools.partial(stream.read1, _PIECE), b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from codecs.iterdecode(pieces, "utf-16", "replace")
    else:
        yield from codecs.iterdecode(pieces, "utf-8-sig", "surrogateescape")
    yield "\n"
