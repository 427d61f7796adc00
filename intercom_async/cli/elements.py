"""The elements of a JSON array, read one at a time."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from intercom_async.cli.lines import LONGEST_LINE, Lines, SourceError

_SPACE: Final = re.compile(r"\s*")
_decode: Final = json.JSONDecoder().raw_decode


def read_elements(lines: Lines, name: str) -> Iterator[tuple[int, Any]]:
    """Yield each element and the number of the line it begins on."""
    text = _Text(lines, name)
    text.take("[")
    if text.look() == "]":
        text.take("]")
    else:
        mark = ","
        while mark == ",":
            yield text.element()
            mark = text.take(",]")
    if text.look():
        raise text.error("there is text after the array")


class _Text:
    """The part of the text that is being read; it grows by whole lines."""

    def __init__(self, lines: Lines, name: str) -> None:
        self._line, first = next(lines)
        self._text = first.decode(errors="surrogateescape")
        self._at = 0
        self._lines = lines
        self._name = name

    def look(self) -> str:
        """Return the next character that is no white space, "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None  # noqa: S101  it also matches nothing
            self._move(space.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                return ""

    def take(self, marks: str) -> str:
        """Return the next character and pass it; it must be one of the marks."""
        found = self.look()
        if not found or found not in marks:
            expected = " or ".join(f'"{mark}"' for mark in marks)
            raise self.error(f"not JSON (expected {expected})")
        self._move(self._at + 1)
        return found

    def element(self) -> tuple[int, Any]:
        self.look()
        while True:
            try:
                found, end = _decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._grow():
                    self._move(error.pos)
                    raise self.error(f"not JSON ({error.msg})") from None
            except RecursionError:
                raise self.error("nested too deeply") from None
            except ValueError as error:  # a number of thousands of digits
                raise self.error(f"not JSON ({error})") from None
            else:
                line = self._line
                self._move(end)
                return line, found

    def error(self, problem: str) -> SourceError:
        return SourceError(self._name, self._line, problem)

    def _move(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _grow(self) -> bool:
        """Double the text, so that little of it is decoded twice; return whether it grew."""
        parts = [self._text[self._at :]]
        wanted = len(parts[0])
        if wanted > LONGEST_LINE:
            return False
        grown = 0
        for _, line in self._lines:
            parts.append(line.decode(errors="surrogateescape"))
            grown += len(parts[-1])
            if grown >= wanted:
                break
        self._text, self._at = "".join(parts), 0
        return grown > 0
