"""`new method NAME`: an installable plugin package with its neuron, its method, its test, its suite and its README."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from snn5bench.errors import BenchError
from snn5bench.registry import own_version

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def new_method(name: str, parent: Path) -> list[Path]:
    """Write the package into `parent/name`, which must not exist; returns the files. Raises `BenchError` for a name that
    cannot be that of a package, or that another module has already."""
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module) or len(name) > 40:
        raise BenchError(
            f"'{name}' cannot name a package", "NAME", "write small letters, digits and single hyphens, like my-neuron"
        )
    if module in sys.stdlib_module_names or find_spec(module) is not None:
        raise BenchError(f"a module called {module} is there already", "NAME", "choose another name")
    folder = parent / name
    if folder.exists():
        raise BenchError(f"{folder} is there already", "NAME", "choose another name, or remove the folder")
    words = {
        "name": name,
        "module": module,
        "title": "".join(part.capitalize() for part in name.split("-")),
        "version": own_version() if own_version() != "uninstalled" else "0",
    }
    return [_write(template, folder, words) for template in sorted((_TEMPLATES / "method").rglob("*.j2"))]


def _write(template: Path, folder: Path, words: dict[str, str]) -> Path:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    place = template.relative_to(_TEMPLATES)
    # The files are Python, TOML and YAML, and `words` holds checked names only: there is no HTML to escape.
    engine = Environment(loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)
    target = Path(*place.parts[1:]).with_suffix("")
    if target.parts[0] == "package":
        target = Path(words["module"], *target.parts[1:])
    elif target.parts[0] in ("tests", "suites"):
        target = target.with_stem(target.stem.replace("package", words["module"]).replace("suite", words["name"]))
    path = folder / target
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(engine.get_template(place.as_posix()).render(words), encoding="utf-8")
    return path
