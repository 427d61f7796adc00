"""What a command shows, as an SVG file: a terminal window that looks right on any page."""

import contextlib
import io
import re
from collections.abc import Generator
from typing import BinaryIO, Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

# Rich's own format fetches its fonts from the network.
_FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


@contextlib.contextmanager
def drawing(title: str, file: BinaryIO) -> Generator[Console]:
    """Yield a terminal of 90 columns, in colour whatever NO_COLOR says; then write it to a file."""
    console = Console(
        record=True,
        width=90,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
    )
    yield console
    file.write(console.export_svg(title=title, code_format=_FORMAT).encode())
