"""Whoever uses only the client pays for nothing else."""

import subprocess
import sys

EXTRAS = (
    *("rich", "typer", "uvloop", "redis", "psycopg", "procrastinate", "opentelemetry", "jinja2"),
    *("httpx", "orjson", "pydantic", "pytest"),
)


def test_the_client_imports_nothing_of_the_extras() -> None:
    code = (
        "import sys\nfrom intercom_async import IntercomClient\n"
        f"print([name for name in {EXTRAS!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
