"""A name imports only what it needs, and every public name is there all the same."""

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import intercom_async
from intercom_async import _exports

EXTRAS = (
    *("rich", "typer", "uvloop", "redis", "psycopg", "procrastinate", "opentelemetry", "jinja2"),
    *("httpx", "orjson", "pydantic", "pytest"),
)
LATER = (
    *("sqlite3", "cattrs", "tenacity"),
    *(f"intercom_async.{room}" for room in ("model", "structuring", "bulk", "journal", "people")),
    *(f"intercom_async.{room}" for room in ("pool", "transport.http", "simulator", "cli")),
)
NAMES = sorted(name for name in vars(_exports) if not name.startswith("_"))


def run(code: str) -> str:
    """Run a program in a fresh interpreter; return what it printed, errors included."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def callables() -> Iterator[Any]:
    for public in (getattr(intercom_async, name) for name in NAMES):
        if inspect.isfunction(public):
            yield public
        if inspect.isclass(public):
            yield public
            for member, method in inspect.getmembers(public, inspect.isfunction):
                # aiohttp's own signature is that of `Connector.connect`.
                if (not member.startswith("_") or member == "__init__") and member != "connect":
                    yield method


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("from intercom_async import IntercomClient", (*EXTRAS, *LATER)),
        ("from intercom_async import IntercomClient; IntercomClient('none')", EXTRAS),
        ("from intercom_async import IntercomError", (*EXTRAS, *LATER, "aiohttp")),
    ],
)
def test_a_name_imports_only_what_it_needs(program: str, unwanted: tuple[str, ...]) -> None:
    # Measuring coverage has imported some of them before.
    loaded = f"print([name for name in {unwanted!r} if name in set(sys.modules) - before])"
    assert run(f"import sys\nbefore = set(sys.modules)\n{program}\n{loaded}") == "[]\n"


def test_a_client_that_was_made_imports_nothing_more_when_an_answer_comes() -> None:
    made = "from intercom_async import IntercomClient; IntercomClient('none')"
    answered = """
from intercom_async.detaching import settle
from intercom_async.structuring.replies import decode_conversation
decode_conversation({"id": {}, "created_at": "odd"})"""
    loaded = "print(sorted(set(sys.modules) - before))"
    program = f"import sys\n{made}\nbefore = set(sys.modules)\n{answered}\n{loaded}"
    assert run(program) == "[]\n"


def test_type_checkers_and_programs_see_the_same_names() -> None:
    for name in NAMES:
        assert getattr(intercom_async, name) is getattr(_exports, name)
    assert set(intercom_async.__all__) == {*NAMES, "__version__"}
    assert {*NAMES, "__version__", "__doc__"} <= set(dir(intercom_async))
    assert set(run("from intercom_async import *; print(*dir())").split()) >= {*NAMES}


def test_any_module_can_be_the_first_that_is_imported() -> None:
    first = {intercom_async._HOMES[name]: name for name in NAMES}
    code = f"""
import sys
for name in {[*first.values()]!r}:
    for module in [module for module in sys.modules if module.startswith("intercom_async")]:
        del sys.modules[module]
    exec("from intercom_async import " + name)
"""
    assert not run(code)


def test_a_name_that_does_not_exist_is_an_attribute_error_with_a_suggestion() -> None:
    seen = run("import intercom_async; intercom_async.IntercomCient")
    assert "AttributeError" in seen
    assert "Did you mean: 'IntercomClient'?" in seen


def test_annotations_can_be_resolved_in_this_interpreter_and_in_a_fresh_one() -> None:
    for public in callables():
        typing.get_type_hints(public)
    code = """
import typing, intercom_async
print(typing.get_type_hints(intercom_async.IntercomClient.detach_contact)["return"])
"""
    assert run(code).endswith(".Conversation | None\n")
