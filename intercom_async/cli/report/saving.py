"""A report as a file: whole or not at all, and for its owner alone, for it names people's ids."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HTML: Final = b"<!doctype html>"
"""What the first bytes of an older report are."""


def check_target(target: Path, journal: Path) -> str | None:
    """Return why a report must not or cannot be written there, None if it can.

    Nothing is changed. What is no HTML file is not replaced: it might be the journal or the
    input, whose loss no report is worth.
    """
    return next(_problems(target, journal), None)


def _problems(target: Path, journal: Path) -> Iterator[str]:
    folder = target.absolute().parent
    if not folder.is_dir():
        yield f"there is no folder {folder}"
    if not os.access(folder, os.W_OK):
        yield f"the folder {folder} is not writable"
    if not target.exists():
        return
    if journal.exists() and target.samefile(journal):
        yield "it is the journal itself"
    if not target.is_file():
        yield "it exists and is no regular file"
    try:
        with target.open("rb") as file:
            beginning = file.read(len(HTML))
    except OSError as error:
        yield f"it exists and cannot be read ({error.strerror or error})"
    else:
        if beginning and beginning.lower() != HTML:
            yield "it exists and is no HTML file; remove it first, or name another"


def save(target: Path, text: str) -> None:
    """Write a file that only its owner can read, in the place of any older one.

    Raises:
        OSError: it cannot be written; an older one is as it was.
    """
    # mkstemp opens for the owner alone, and rename keeps that.
    fd, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.absolute().parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(fd)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
