"""The import closure of a module, hashed: what code can move a number, found without running it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

NEUTRAL = frozenset(
    f"snn5bench.{name}"
    for name in ("errors", "registry", "record", "environment", "cell", "closure", "keys", "orphans")
)
"""Modules that name, word or describe but compute no number; adding a method to the registry must not void every cell.
(The rule that makes keys is covered by `cell.KEY_VERSION`.)"""


def closure(*modules: str) -> dict[str, str]:
    """Module name to digest, for `modules` and all they import from the top-level packages they stand in.

    The digest is of the syntax tree without docstrings, so comments, layout and the place of the checkout do not matter;
    a file that is no Python is digested as it is. Imports inside functions count; those under `if TYPE_CHECKING:` and
    `NEUTRAL` modules do not. Nothing is imported.
    """
    roots = {name.partition(".")[0] for name in modules} | {"snn5bench"}
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in NEUTRAL or name.partition(".")[0] not in roots:
            continue
        path = _source(name)
        if path is None:
            continue
        digest, imports = _read(path, name, path.name == "__init__.py")
        found[name] = digest
        waiting.extend(imports)
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
    return dict(sorted(found.items()))


@cache
def _top(package: str) -> tuple[Path, ...]:
    """The folders (or the single file) of a top-level package."""
    spec = find_spec(package)
    if spec is None:
        return ()
    if spec.submodule_search_locations:
        return tuple(Path(place) for place in spec.submodule_search_locations)
    return (Path(spec.origin),) if spec.origin else ()


def _source(name: str) -> Path | None:
    """The file of a module, or None where the name is not a module with a Python source."""
    top, *rest = name.split(".")
    for place in _top(top):
        if place.is_file():
            return place if not rest else None
        base = place.joinpath(*rest)
        for candidate in (base / "__init__.py", base.with_suffix(".py") if rest else base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _read(path: Path, name: str, is_package: bool) -> tuple[str, tuple[str, ...]]:
    stat = path.stat()
    return _parse(path, name, is_package, stat.st_mtime_ns, stat.st_size)


@cache
def _parse(path: Path, name: str, is_package: bool, mtime_ns: int, size: int) -> tuple[str, tuple[str, ...]]:
    source = path.read_bytes()
    try:
        tree = ast.parse(source, filename=str(path))
    except (SyntaxError, ValueError, RecursionError):  # the cell that imports it will fail and say so
        return hashlib.sha256(source).hexdigest()[:16], ()
    imports = tuple(_imports(tree, name, is_package))
    _Strip().visit(tree)
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16], imports


class _Strip(ast.NodeTransformer):
    """Drops docstrings and the string that documents a field."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def _imports(tree: ast.AST, name: str, is_package: bool) -> Iterator[str]:
    """Absolute names of all that could be modules among the imports."""
    package = name if is_package else name.rpartition(".")[0]
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                kept = parts[: len(parts) - node.level + 1]
                base = ".".join([*kept, base]) if base else ".".join(kept)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        stack.extend(ast.iter_child_nodes(node))
