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
    "time": {"runtime", "journal", "simulator", "integrations", "cli", "structuring"},
    "random": {"runtime", "simulator"},
    "tenacity": {"transport.sending"},
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


House = dict[str, tuple[str, set[str], bool]]
"""The entry of each module in the table, what it imports, and whether it has coroutines."""


@pytest.fixture(scope="module")
def house() -> House:
    found: House = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name not in {"__init__", "transport"}:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            asynchronous = any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree))
            found[name] = (entry_of(name), {*imports(tree)}, asynchronous)
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FLOOR_OF = {entry: number for number, floor in enumerate(FLOORS) for entry in floor}


def entry_of(name: str) -> str:
    """The entry of the floor table that a module or imported name belongs to."""
    entry = name
    while entry and entry not in FLOOR_OF:
        entry = entry.rpartition(".")[0]
    assert entry, f"{name} is not in the floor table"
    return entry


def test_imports_only_go_down(house: House) -> None:
    for name, (own, imported, _) in house.items():
        ours = {each for each in imported if each.startswith("intercom_async.")}
        entries = {entry_of(each.removeprefix("intercom_async.")) for each in ours} - {own}
        up = {entry for entry in entries if FLOOR_OF[entry] >= FLOOR_OF[own]}
        assert up == set(), name


def test_clocks_dice_and_heavy_libraries_are_named_in_their_own_rooms_only(house: House) -> None:
    for name, (own, imported, _) in house.items():
        for library in {each.split(".")[0] for each in imported} & ONLY_IN.keys():
            assert own in ONLY_IN[library], name


def test_pure_modules_name_no_clock_loop_or_socket(house: House) -> None:
    for name in PURE:
        _, imported, asynchronous = house[name]
        libraries = {each.split(".")[0] for each in imported}
        forbidden = {"asyncio", "time", "random", "socket", "aiohttp", "threading"}
        assert libraries & forbidden == set(), name
        assert not asynchronous, name
