"""What a command shows, as an SVG file: a terminal window that looks right on any page."""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType

from intercom_async.private_files import rewrite

# Rich's own format fetches its fonts from the network.
_FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def save_svg(path: Path, title: str, parts: Iterable[RenderableType], *, width: int = 90) -> None:
    """Draw the parts in a terminal of so many columns, in colour whatever the real one can do."""
    console = Console(
        record=True,
        width=width,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
    )
    for part in parts:
        console.print(part)
    with rewrite(path) as file:
        file.write(console.export_svg(title=title, code_format=_FORMAT).encode())
