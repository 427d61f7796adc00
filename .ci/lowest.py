"""Print the lowest declared version of every dependency, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"].values()
lowest: dict[str, str] = {}
for requirement in {*project["dependencies"], *(one for extra in extras for one in extra)}:
    bound = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)(?:,.*)?", requirement)
    if bound is not None:  # of two bounds the higher one counts: the tests may need more than users
        found = lowest.get(bound[1], "0")
        lowest[bound[1]] = max(found, bound[2], key=lambda text: [*map(int, text.split("."))])
for name, version in sorted(lowest.items()):
    print(f"{name}=={version}")
