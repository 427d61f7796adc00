"""What a command has shown, as an SVG file: a terminal window that looks right on any page."""

import re
from typing import BinaryIO, Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

# Rich's own format fetches its fonts from the network.
_FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def save_picture(console: Console, title: str, file: BinaryIO) -> None:
    """Write all that a recording console has shown, at least 100 columns of it."""
    console.width = max(console.width, 100)
    file.write(console.export_svg(title=title, code_format=_FORMAT).encode())
