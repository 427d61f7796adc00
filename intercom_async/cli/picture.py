"""What a command shows, as an SVG file: a terminal window that looks right on any page."""

import io
import re
from collections.abc import Iterable
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType

# Rich's own format fetches its fonts from the network.
_FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def draw(title: str, parts: Iterable[RenderableType]) -> bytes:
    """Return the parts as printed in a terminal of 90 columns, in colour whatever NO_COLOR says."""
    console = Console(
        record=True,
        width=90,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
    )
    for part in parts:
        console.print(part)
    return console.export_svg(title=title, code_format=_FORMAT).encode()
