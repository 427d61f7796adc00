"""Check that the lock has every dependency that pyproject.toml names here, within its bounds.

Run it with the lock installed; `packaging` is in it.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def problems(pyproject: str, lock: str) -> Iterator[str]:
    """Tell what of the lock does not fit, and what of it is not what a lock may say."""
    pins = {
        canonicalize_name(name): version
        for name, version, marker in _PIN.findall(lock)
        if not marker or Marker(marker).evaluate()
    }
    table = tomllib.loads(pyproject)
    extras = table["project"]["optional-dependencies"].values()
    named = [*table["project"]["dependencies"], *(one for extra in extras for one in extra)]
    for text in sorted({*named, *table["build-system"]["requires"]}):
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        if name == canonicalize_name(table["project"]["name"]):
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        if name not in pins:
            yield f"the lock lacks {text}"
        elif not wanted.specifier.contains(pins[name], prereleases=True):
            yield f"the lock has {name} {pins[name]}, not {text}"
    for line in lock.splitlines():
        if not _LINE.fullmatch(line):
            yield f"the lock has a line that is no pin and no hash: {line}"


_PIN = re.compile(r"^([\w.-]+)==([^\s;]+)(?: ; (.+))? \\$", re.MULTILINE)
_LINE = re.compile(r"[\w.\[\],-]+==[^\s;]+( ; [^/]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")


if __name__ == "__main__":
    found = list(
        problems(
            Path("pyproject.toml").read_text(encoding="utf-8"),
            Path(".ci/lock.txt").read_text(encoding="utf-8"),
        )
    )
    print("\n".join(found) or "the lock fits pyproject.toml")
    sys.exit(bool(found))
