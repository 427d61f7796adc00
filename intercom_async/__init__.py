"""An async client that detaches contacts from Intercom conversations.

It uses the whole rate limit, almost never hits a 429, and says what became of each pair.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from intercom_async._version import __version__ as __version__

if TYPE_CHECKING:
    from intercom_async._exports import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # A program that imports the package and does not call Intercom pays for nothing behind it.
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__all__" or not name.startswith("_"):
        exports = vars(importlib.import_module(f"{__name__}._exports"))
        public = {one: value for one, value in exports.items() if not one.startswith("_")}
        globals().update(public, __all__=sorted([*public, "__version__"]))
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
