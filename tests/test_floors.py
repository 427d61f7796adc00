"""The house has floors, and imports only go down."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import intercom_async

PACKAGE = Path(intercom_async.__file__).parent

# Low to high; a module may import from its own entry's floor only what the entry allows: nothing
# of its own name aside. Packages stand for all of their modules unless a module is listed itself.
FLOORS: list[set[str]] = [
    {"_version", "private_files", "replies", "secret", "observing"},
    {"errors"},
    {"documents", "ids", "model", "validators"},
    {"structuring"},
    {"runtime"},
    {"pacing"},
    {"transport.deadlines", "transport.headers", "transport.hiding", "transport.outage"},
    {"transport.retrying"},
    {"transport.wire"},
    {"structuring.replies", "transport.doubt", "transport.network"},
    {"transport.http"},
    {"transport.call"},
    {"transport.sending"},
    {"detaching", "raw"},
    {"pairs"},
    {"journal", "dry_run"},
    {"search"},
    {"lookup"},
    {"people"},
    {"bulk"},
    {"client"},
    {"pool_run"},
    {"pool"},
    {"_exports"},
    {"simulator", "integrations"},
    {"cli"},
    {"__main__"},
]

PURE = {
    "ids",
    "pairs",
    "transport.headers",
    "transport.wire",
    "pacing.server_clock",
    "pacing.window",
    "transport.retrying",
    "transport.doubt",
    "pacing.concurrency",
    "pacing.slots",
}

ONLY_IN = {
    "aiohttp": {"transport.http", "client", "pool", "simulator"},
    "tenacity": {"transport.call"},
    "sqlite3": {"journal"},
    "psycopg": {"journal", "integrations"},
    "procrastinate": {"integrations", "cli"},
    "cattrs": {"structuring"},
    "opentelemetry": {"integrations"},
    "redis": {"integrations"},
    "jinja2": {"cli"},
    "rich": {"cli"},
    "typer": {"cli"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def entry_of(name: str) -> str | None:
    """The entry of the floor table that a module or imported name belongs to."""
    entries = {entry for floor in FLOORS for entry in floor}
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in entries:
            return ".".join(parts[:length])
    return None


def floor_of(entry: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if entry in floor)


INNER = [(name, tree) for name, tree in modules() if name not in {"__init__", "transport"}]


@pytest.mark.parametrize(("name", "tree"), INNER, ids=[name for name, _ in INNER])
def test_every_module_has_a_floor_and_imports_only_from_below(name: str, tree: ast.Module) -> None:
    own = entry_of(name)
    assert own is not None, f"{name} is not in the floor table"
    for imported in imports(tree):
        if not imported.startswith("intercom_async."):
            continue
        entry = entry_of(imported.removeprefix("intercom_async."))
        assert entry is not None, imported
        assert entry == own or floor_of(entry) < floor_of(own), f"{name} imports {imported}"


@pytest.mark.parametrize(("name", "tree"), INNER, ids=[name for name, _ in INNER])
def test_each_heavy_library_is_named_in_its_own_rooms_only(name: str, tree: ast.Module) -> None:
    own = entry_of(name)
    for imported in imports(tree):
        library = imported.split(".")[0]
        if library in ONLY_IN:
            assert own in ONLY_IN[library], f"{name} imports {imported}"


@pytest.mark.parametrize(("name", "tree"), INNER, ids=[name for name, _ in INNER])
def test_pure_modules_name_no_clock_loop_or_socket(name: str, tree: ast.Module) -> None:
    if name not in PURE:
        return
    named = {imported.split(".")[0] for imported in imports(tree)}
    assert named.isdisjoint({"asyncio", "time", "random", "socket", "aiohttp", "threading"})
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    assert not functions


def test_the_clock_is_named_in_the_runtime_only() -> None:
    core = {entry for floor in FLOORS[:14] for entry in floor} - {"runtime"}
    for name, tree in INNER:
        if entry_of(name) in core:
            named = set(imports(tree))
            assert named.isdisjoint({"time", "random"}), name
