"""Mutation testing of one file: how many small wrong changes do its tests notice?

    python -m benchmarks.mutants intercom_async/transport/verdict.py tests/transport/test_verdict.py

Every mutant runs in a fork of this process with the changed module in the place of the real one;
no file is changed. A mutant is killed by a failing test, an exception or by computing too long.
Survivors are printed with the line and what became of it: each asks for a test, or changes nothing
that anybody could notice.

The same mutants live each time: properties are tried with the same examples in each run. Tests
of single examples run before properties, which take longer to notice the same. With `--written`,
lines of code that the file holds as texts, to write functions of its own, are changed as well.
"""

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, cast

import hypothesis
import pytest

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NAMES: Final = {"min": "max", "max": "min", "floor": "ceil", "ceil": "floor", "any": "all"}

_EXPIRED: Final = {signal.SIGALRM, signal.SIGPROF}

hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    max_examples=30,  # what only the hundredth example notices is not tested well
    database=None,  # what a mutant breaks is no example for the real code
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],  # nobody reads the smallest one
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # the machine is, not the mutant
)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _changes(  # noqa: C901, PLR0912  a table
    node: ast.AST, *, written: bool = False
) -> Iterator[ast.AST]:
    """Return what a node may wrongly become."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            yield _with(node, ops=[_COMPARISONS[type(op)]()])
        case ast.BinOp(op=op) if type(op) in _OPERATORS:
            yield _with(node, op=_OPERATORS[type(op)]())
        case ast.AugAssign(op=op) if type(op) in _OPERATORS:
            yield _with(node, op=_OPERATORS[type(op)]())
        case ast.BoolOp(op=op, values=values):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            yield from values
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
            if value:
                yield ast.Constant(0)
        case ast.Constant(value=str() as value) if value and " " not in value:  # no prose
            yield ast.Constant(value + "x")
        case ast.JoinedStr() | ast.Constant(value=str()) if written:
            yield from _changes_of_line(node)
        case ast.Name(id=name) if name in _NAMES:
            yield ast.Name(_NAMES[name], ast.Load())
        case ast.If(test=test):
            for outcome in (True, False):
                yield _with(node, test=ast.copy_location(ast.Constant(outcome), test))
        case ast.Expr(value=ast.Call()) | ast.Assign(targets=[ast.Attribute()]):
            yield ast.Pass()
        case _:
            pass


_INSERTED: Final = re.compile(r"(inserted_\d+_)")


def _changes_of_line(text: ast.JoinedStr | ast.Constant) -> Iterator[ast.JoinedStr]:
    """Return what a line of code in a text may wrongly become, nothing if it holds no code.

    Meanwhile a name stands for each value that the text inserts.
    """
    values = text.values if isinstance(text, ast.JoinedStr) else [text]
    inserted: dict[str, ast.expr] = {}
    line = ""
    for value in values:
        if isinstance(value, ast.Constant):
            line += str(value.value)
        else:
            name = f"inserted_{len(inserted)}_"
            inserted[name] = value
            line += name
    code = line.strip()
    try:
        tree = ast.parse(code + " pass" if code.endswith(":") else code)
    except SyntaxError:
        return
    changes = [change for _, _, change in _changed_trees(ast.unparse(tree))]
    statement = tree.body[0] if tree.body else None
    if isinstance(statement, ast.Assign | ast.Return):
        changes.append(ast.Module([ast.Pass()], []))
    lines = dict.fromkeys(ast.unparse(change).splitlines()[0] for change in changes)
    if isinstance(statement, ast.Expr):
        lines.pop("pass", None)  # an expression that stands in another one is no statement
    indent = line[: -len(line.lstrip())]
    for changed in lines:
        parts = _INSERTED.split(indent + changed)
        yield ast.JoinedStr([inserted.get(part) or ast.Constant(part) for part in parts])


def _inner(node: ast.AST) -> Iterator[ast.AST]:
    """What a node is made of, without what only type checkers read."""
    if isinstance(node, ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        children = cast("list[object]", value) if isinstance(value, list) else [value]
        if name == "args" and ast.unparse(node).startswith(("TypeVar(", "cast(")):
            children = children[1:]
        yield from (child for child in children if isinstance(child, ast.AST))


def _nodes(tree: ast.Module, *, written: bool = False) -> list[ast.AST]:
    """Everything that runs: no docstrings, no types, no texts of errors."""
    found: list[ast.AST] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if written or not isinstance(node, ast.JoinedStr):
            found.append(node)
        for child in _inner(node):
            visit(child)

    visit(tree)
    return found


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old: ast.AST = old
        self._new: Any = new

    def visit(self, node: ast.AST) -> Any:
        if node is self._old:
            return ast.copy_location(self._new, node)
        return self.generic_visit(node)


def _changed_trees(
    source: str, *, written: bool = False
) -> Iterator[tuple[ast.AST, ast.AST, ast.Module]]:
    """Yield every mutant of a source as (the node, what it became, the whole)."""
    for place, node in enumerate(_nodes(ast.parse(source), written=written)):
        for number, _ in enumerate(_changes(node, written=written)):
            tree = ast.parse(source)  # a fresh one: nothing of another mutant is left
            old = _nodes(tree, written=written)[place]
            new = list(_changes(old, written=written))[number]
            changed = ast.fix_missing_locations(_Replace(old, new).visit(tree))
            yield old, new, changed


def mutants(source: str, path: str, *, written: bool = False) -> Iterator[tuple[str, CodeType]]:
    """Yield every mutant of a file as (what was changed, the code)."""
    for old, new, changed in _changed_trees(source, written=written):
        line = getattr(old, "lineno", 0)
        told = f"{path}:{line}: {ast.unparse(old).splitlines()[0]}  ->  "
        told += ast.unparse(ast.fix_missing_locations(new)).splitlines()[0]
        try:
            yield told, compile(changed, path, "exec")
        except (SyntaxError, ValueError):
            continue


class _Impostor(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the mutant in the place of the module."""

    def __init__(self, name: str, code: CodeType) -> None:
        self._name, self._code = name, code

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  same
    ) -> importlib.machinery.ModuleSpec | None:
        """See `MetaPathFinder`."""
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=self._code.co_filename)

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader`."""
        module.__file__ = self._code.co_filename
        exec(self._code, module.__dict__)  # noqa: S102  the package's own code, changed by us


class _ExamplesFirst:
    """A plugin of pytest that runs the slow tests last."""

    @staticmethod
    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: hasattr(getattr(item, "obj", None), "hypothesis"))


def _child(name: str, code: CodeType | None, tests: list[str]) -> None:
    """Run the tests against a mutant and exit with pytest's status; never returns."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    status = 1
    try:
        if code is not None:
            sys.meta_path.insert(0, _Impostor(name, code))
        options = ["-x", "-q", "--assert=plain", "--hypothesis-profile=mutants"]
        options += ["-p", "no:cacheprovider", "-p", "no:xdist"]
        status = int(pytest.main([*options, *tests], plugins=[_ExamplesFirst()]))
    finally:
        os._exit(status)


def _start(name: str, code: CodeType | None, tests: list[str], seconds: float) -> int:
    pid = os.fork()
    if pid == 0:
        # On a busy machine everything takes long; a mutant that waits for ever computes nothing.
        for expired in _EXPIRED:
            signal.signal(expired, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, 20.0 * seconds)
        _child(name, code, tests)
    return pid


def main() -> int:
    """Test all mutants of one file; return 0 if the tests kill enough of them."""
    parser = argparse.ArgumentParser(description="Mutation testing of one file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="only every n-th mutant")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="of computing for one mutant")
    parser.add_argument("--enough", type=float, default=0.9)
    parser.add_argument("--written", action="store_true", help="also code that it holds as texts")
    options = parser.parse_args()
    path: Path = options.file
    name = ".".join(path.with_suffix("").parts)

    for heavy in ("aiohttp", "aioresponses", "cattrs", "hypothesis.strategies", "uvloop"):
        importlib.import_module(heavy)  # once, not in every fork
    began = time.monotonic()
    _, status = os.waitpid(_start(name, None, options.tests, options.seconds), 0)
    if status:
        print("the tests fail without any change")
        return 2
    print(f"the tests take {time.monotonic() - began:.1f} s")

    running: dict[int, str] = {}
    survivors: list[str] = []
    total = slow = 0

    def reap() -> None:
        nonlocal slow
        pid, ended = os.wait()
        slow += os.WIFSIGNALED(ended) and os.WTERMSIG(ended) in _EXPIRED
        told = running.pop(pid)
        if ended == 0:
            survivors.append(told)
            print(told, flush=True)

    found = list(mutants(path.read_text(), str(path), written=options.written))
    for told, code in found[:: options.every]:
        total += 1
        running[_start(name, code, options.tests, options.seconds)] = told
        if len(running) >= options.processes:
            reap()
    while running:
        reap()
    killed = total - len(survivors)
    print(
        f"{path}: {killed} of {total} mutants killed ({killed / total:.1%}, "
        f"{slow} of them for computing longer than {options.seconds:g} s), "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0 if killed >= options.enough * total else 1


if __name__ == "__main__":
    sys.exit(main())
