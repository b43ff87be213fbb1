"""A YAML file read safely, with the line of every key, so that each mistake can be shown where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.tokens import (
    AliasToken,
    AnchorToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    TagToken,
)

from snn5bench.errors import BenchError, Problem, did_you_mean

MAX_BYTES = 1 << 16
"""The parser's time grows with the square of the text: a few seconds here, minutes at 400 KB."""
MAX_DEPTH = 40
MOST_PROBLEMS = 100
"""Shown of one part of a file."""
_OPENING = (BlockMappingStartToken, BlockSequenceStartToken, FlowMappingStartToken, FlowSequenceStartToken)
_CLOSING = (BlockEndToken, FlowMappingEndToken, FlowSequenceEndToken)

Loc = tuple[str | int, ...]


class YamlFile:
    """The plain data of a YAML file (`data`), and where each of its keys stands (`place`)."""

    def __init__(self, path: Path, tree: CommentedMap) -> None:
        self.path, self._tree = path, tree
        self.data: dict[str, Any] = _plain(tree)

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Parse into maps, lists and scalars only. Aliases, tags, deep nesting and files over 64 KiB are refused."""
        if not path.is_file():
            raise BenchError(f"there is no file {path}", do="check the name")
        if path.stat().st_size > MAX_BYTES:
            raise BenchError(
                f"the file is larger than {MAX_BYTES} bytes", where=str(path), do="a suite is a short text"
            )
        yaml = YAML(typ="rt", pure=True)
        yaml.version = (1, 2)
        try:
            text = path.read_text(encoding="utf-8")
            _refuse_indirection(text, path)
            tree = yaml.load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark is not None else ""
            what = error.problem or error.context or "this is not YAML"
            raise BenchError(f"not valid YAML: {what}", f"{path}{line}", "mend the syntax at that line") from None
        except BenchError:
            raise
        except (
            Exception
        ) as error:  # on odd texts the parser raises what its depths raise: TypeError, AttributeError, ...
            first = str(error).strip().partition("\n")[0]
            raise BenchError(f"not valid YAML: {first}", str(path), "mend the file") from None
        if not isinstance(tree, CommentedMap):
            raise BenchError("the file does not hold a mapping of keys to values", str(path), "begin with `key: value`")
        return cls(path, tree)

    def place(self, loc: Sequence[str | int]) -> str:
        """`file:line key.path` of the deepest part of `loc` that the file has."""
        node: Any = self._tree
        line = 1
        for part in loc:
            try:
                if isinstance(node, CommentedMap):
                    line = node.lc.key(part)[0] + 1
                elif isinstance(node, CommentedSeq) and isinstance(part, int):
                    line = node.lc.item(part)[0] + 1
                else:
                    break
                node = node[part]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return f"{self.path}:{line} {dotted(loc)}".rstrip()

    def by_line(self, problems: Sequence[Problem]) -> list[Problem]:
        """The same problems in the order in which a reader meets them."""
        prefix = f"{self.path}:"

        def line(problem: Problem) -> int:
            number = problem.where.removeprefix(prefix).partition(" ")[0]
            return int(number) if number.isdigit() else 0

        return sorted(problems, key=line)

    def has(self, loc: Sequence[str | int]) -> bool:
        """Whether the file has that key."""
        node: Any = self.data
        for part in loc:
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError):
                return False
        return True

    def problems(
        self, error: ValidationError, schema: type[BaseModel], *prefixes: Loc, fallback: Loc = ()
    ) -> list[Problem]:
        """One `Problem` for each mistake that a schema found; `prefixes` are the places where its values may stand."""
        found = []
        details = error.errors(include_url=False, include_context=False)
        for detail in details[:MOST_PROBLEMS]:
            loc = tuple(detail["loc"])
            at = next((p + loc for p in prefixes if self.has(p + loc[:1])), (fallback + loc) if prefixes else loc)
            problem = Problem(_what(detail), self.place(at), _do(detail, schema, loc))
            if problem not in found:
                found.append(problem)
        if (more := len(details) - MOST_PROBLEMS) > 0:
            found.append(
                Problem(f"{more} more mistakes of this kind are not shown", str(self.path), "mend the others first")
            )
        return found


def dotted(loc: Sequence[str | int]) -> str:
    """`methods[0].params.lr`"""
    out = ""
    for part in loc:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def _refuse_indirection(text: str, path: Path) -> None:
    """Anchors can grow a small file into a huge tree, tags ask for objects, nesting eats the stack: none is needed."""
    depth = 0
    for token in YAML(pure=True).scan(text):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            raise BenchError(
                f"nested more than {MAX_DEPTH} deep", f"{path}:{token.start_mark.line + 1}", "flatten the file"
            )
        if isinstance(token, AliasToken | AnchorToken | TagToken):
            word = "tags" if isinstance(token, TagToken) else "anchors and aliases"
            raise BenchError(
                f"{word} are not read here", f"{path}:{token.start_mark.line + 1}", "write the plain value"
            )


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)


def _what(detail: ErrorDetails) -> str:
    name = detail["loc"][-1] if detail["loc"] else "the file"
    if detail["type"] == "extra_forbidden":
        return f"unknown key '{name}'"
    if detail["type"] == "missing":
        return f"the key '{name}' is missing"
    message = detail["msg"]
    return f"{message[:1].lower()}{message[1:]} (got {detail['input']!r:.80})"


def _do(detail: ErrorDetails, schema: type[BaseModel], loc: Loc) -> str:
    owner = _owner(schema, loc[:-1])
    if owner is None:
        return ""
    if detail["type"] == "extra_forbidden":
        return did_you_mean(str(loc[-1]), owner.model_fields)
    field = owner.model_fields.get(str(loc[-1])) if loc else None
    return field.description or "" if field is not None else ""


def _owner(schema: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The model that a path inside `schema` leads to."""
    current: Any = schema
    for part in loc:
        if isinstance(part, int) or not (isinstance(current, type) and issubclass(current, BaseModel)):
            continue
        field = current.model_fields.get(part)
        if field is None:
            continue
        current = _model_in(field.annotation) or current
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        model = _model_in(inner)
        if model is not None:
            return model
    return None
