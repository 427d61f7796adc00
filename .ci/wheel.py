"""Check that two builds of the wheel are the same bytes, and what is in them.

    python .ci/wheel.py FOLDER FOLDER

Each folder holds one wheel.
"""

import sys
import zipfile
from pathlib import Path


def problems(first: Path, second: Path) -> list[str]:
    """Tell what is wrong with two builds of the same tree."""
    found: list[str] = []
    if first.read_bytes() != second.read_bytes():
        found.append("two builds of the wheel differ")
    names = set(zipfile.ZipFile(first).namelist())
    needed = {
        path.as_posix()
        for path in Path("intercom_async").rglob("*.*")
        if "__pycache__" not in path.parts
    }
    found += [f"the wheel lacks {name}" for name in sorted(needed - names)]
    metadata = {name for name in names if ".dist-info/" in name}
    found += [f"the wheel has {name} besides" for name in sorted(names - needed - metadata)]
    if any(
        name.endswith("entry_points.txt") and b"pytest11" in zipfile.ZipFile(first).read(name)
        for name in metadata
    ):
        found.append("the wheel loads itself into every test run of others (pytest11)")
    return found


if __name__ == "__main__":
    wheels = [next(Path(folder).glob("*.whl")) for folder in sys.argv[1:3]]
    wrong = problems(*wheels)
    print("\n".join(wrong) or f"{wheels[0].name} is reproducible and complete")
    sys.exit(bool(wrong))
