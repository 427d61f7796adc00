"""Optional extras, each a module that needs a library of its own; nothing is imported here.

- `opentelemetry`: traces and metrics (`pip install 'intercom_async[otel]'`).
- `redis`: one quota shared by many processes (`pip install 'intercom_async[redis]'`).
- `procrastinate`: runs as jobs of many machines (`pip install 'intercom_async[postgres]'`).
"""

from typing import Final

EXTRAS: Final = {"opentelemetry": "otel", "procrastinate": "postgres", "redis": "redis"}


def missing(module: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return the error of a module whose library is not installed, with the line that helps."""
    name = module.rpartition(".")[2]
    line = f"pip install 'intercom_async[{EXTRAS[name]}]'"
    return ModuleNotFoundError(f"{module} needs {error.name}: {line}", name=error.name)
