"""The README's blocks of code; `python -m tests.support.readme FOLDER` writes the Python ones."""

import re
import sys
from pathlib import Path
from typing import Any

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]


def run_block(code: str) -> dict[str, Any]:
    """Execute a block as it stands and return what it defined."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), namespace)
    return namespace


def block_with(text: str) -> str:
    """The one Python block that holds a text."""
    (found,) = [code for code in PYTHON if text in code]
    return found


def write_blocks(folder: Path) -> None:
    """Write each Python block as a file of its own, for the type checkers in their strict modes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, code in enumerate(PYTHON):
        text = f"# pyright: strict\n{code}"
        (folder / f"block_{number}.py").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_blocks(Path(sys.argv[1]))
