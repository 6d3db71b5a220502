"""Messages of errors and reasons: said in English where something fails, and retold where people read them.

`adaptact/languages/recorded.py` knows them again by their words. What a template string puts in is a place,
named after it: `f"model {quote(name)} has no alias"` is the message "model {name} has no alias". Phrases that
stand in places are followed to where the module makes them: by its names, functions and dictionaries.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

FOLDERS = (
    *("convert/graph", "convert/rules", "convert/rewriting"),
    *(f"convert/manifest/{name}.py" for name in ("description", "preprocessing", "signature")),
    *("convert/model_io/given.py", "convert/model_io/samples.py"),
    *("serve/access", "serve/engine", "serve/experiments", "serve/rollout", "serve/drift", "serve/protocol"),
    *("serve/rest", "serve/shared"),
)
NOWHERE_SHOWN = (
    *("serve/experiments/reading.py", "serve/experiments/statistics", "serve/experiments/units.py"),
    *(f"serve/experiments/store/{name}.py" for name in ("backup", "bulk_feedback", "feedback", "migrations")),
    *("serve/experiments/store/unit_keys.py", "serve/experiments/yaml_documents.py"),
    *("serve/drift/first_rows.py", "serve/protocol/trace_settings.py", "serve/rest/shared_memory.py"),
    *("serve/rest/metrics.py", "serve/shared/regions.py", "serve/engine/weights"),
)
"""What only programs ask for, and what only commands say."""
OTHERS = {
    *("Declined", "DriftReport", "Forbidden", "HTTPException", "Inconsistency", "IndexEntry", "Mistake"),
    *("ModelFile", "OnDemandEntry", "SampleSet", "SeriesDrift", "_Measure", "_Plan"),
    *("_check_pixels", "_difference", "_misplaced", "_mistake"),  # which make an error of it
}
RETURNING = ("__str__", "find_misfit")
"""The functions that return a message."""
SILENT = {
    *("AssertionError", "AttributeError", "JSONDecodeError", "KeyError", "OSError", "PydanticCustomError"),
    *("RecursionError", "RuntimeError", "TypeError", "ValueError"),  # nobody's to read
    *("AdaptactError", "KeysFileError", "ListenError", "RepositoryError", "StartupError"),
    *("TlsError", "UsageError"),  # of commands, in a terminal
    "RegionError",  # of programs on the server's own machine
}
SEPARATORS = ",;: "
FEWEST = 5
"""So many characters of its own has a message, by which it can be known."""
_UNWRAPPED = {"escape_line", "join", "len", "list", "quote", "quote_names", "repr", "show", "sorted", "str"}

_INNER: dict[type[ast.expr], tuple[str, ...]] = {
    ast.IfExp: ("body", "orelse"),
    ast.BinOp: ("left", "right"),
    ast.BoolOp: ("values",),
    ast.Dict: ("values",),
    ast.List: ("elts",),
    ast.Tuple: ("elts",),
    ast.Lambda: ("body",),
    ast.ListComp: ("elt",),
    ast.GeneratorExp: ("elt",),
    ast.Subscript: ("value",),
}
"""The fields of an expression that may be its value, or hold it."""

Value: TypeAlias = tuple[ast.expr, int | None]
"""What a name stands for: an expression, or the member of it that has this number."""


def is_read(place: str) -> bool:
    """Whether people read the errors and reasons of this module, named by its path below the root."""
    return place.endswith(".py") and place.startswith(FOLDERS) and not place.startswith(NOWHERE_SHOWN)


def read_reasons(path: Path) -> Iterator[str]:
    """The messages of errors and reasons in the module; a word alone is none."""
    module = _Module(ast.parse(path.read_bytes()))
    for value in module.list_told():
        for text in module.follow(value):
            message = text.lstrip(SEPARATORS)  # which stand before a phrase that may be missing
            if _is_message(message):
                yield message


def _is_message(text: str) -> bool:
    own = re.sub(r"\{\w+\}", "", text)
    return " " in text and len(own.replace(" ", "")) >= FEWEST


def _is_told(call: ast.Call) -> bool:
    """Whether it makes an error or a reason, also as the constructor of a class of these."""
    name = _name_function(call)
    is_of_a_kind = name == "__init__" or isinstance(call.func, ast.Call)  # such as `type(error)(…)`
    return name in OTHERS or is_of_a_kind or (name.endswith("Error") and name not in SILENT)


def _name_function(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


class _Module:
    """What the names of a module stand for, and what its functions return."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self._names: dict[str, list[Value]] = {}
        self._returned: dict[str, list[ast.expr]] = {}
        self._seen: set[tuple[int, int | None]] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value)
            elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
                self._assign(node.target, node.value)
            elif isinstance(node, ast.Call) and _name_function(node) == "append" and len(node.args) == 1:
                self._assign(getattr(node.func, "value", node.func), node.args[0])
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
                self._returned.setdefault(node.name, []).extend(found)

    def list_told(self) -> Iterator[ast.expr]:
        """What the errors and reasons of the module are made of."""
        yield from (value for name in RETURNING for value in self._returned.get(name, []))
        for call in ast.walk(self.tree):
            if isinstance(call, ast.Call) and _is_told(call):
                yield from call.args
                yield from (keyword.value for keyword in call.keywords if keyword.arg != "headers")

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._names.setdefault(target.id, []).append((value, None))
        elif isinstance(target, ast.Tuple):
            for number, each in enumerate(target.elts):
                if isinstance(each, ast.Name):
                    self._names.setdefault(each.id, []).append((value, number))

    def follow(self, value: ast.expr, number: int | None = None) -> Iterator[str]:
        """The messages that the expression, or its member of this number, may be or hold."""
        if (id(value), number) in self._seen:
            return
        self._seen.add((id(value), number))
        if isinstance(value, ast.Constant | ast.JoinedStr) and number is None:
            yield from self._read_text(value)
        elif isinstance(value, ast.Tuple | ast.List) and number is not None:
            yield from self.follow(value.elts[number])
        elif isinstance(value, ast.Name):
            for known, member in self._list_meanings(value.id):
                yield from self.follow(known, number if member is None else member)
        else:
            for inner in self._list_inner(value):
                yield from self.follow(inner, number)

    def _list_meanings(self, name: str) -> Iterator[Value]:
        yield from self._names.get(name, [])
        yield from ((returned, None) for returned in self._returned.get(name, []))

    def _read_text(self, value: ast.Constant | ast.JoinedStr) -> Iterator[str]:
        if isinstance(value, ast.JoinedStr):
            yield _write_message(value)
            for part in value.values:
                if isinstance(part, ast.FormattedValue):
                    yield from self.follow(part.value)
        elif isinstance(value.value, str):
            yield value.value

    def _list_inner(self, value: ast.expr) -> Iterator[ast.expr]:
        """The expressions whose value may be that of this one, or a part of it."""
        for name in _INNER.get(type(value), ()):
            inner = getattr(value, name)
            yield from inner if isinstance(inner, list) else (inner,)
        if isinstance(value, ast.Attribute):
            yield from self._returned.get(value.attr, [])  # of a property
        elif isinstance(value, ast.Call):
            yield from self._list_results(value)

    def _list_results(self, call: ast.Call) -> Iterator[ast.expr]:
        name = _name_function(call)
        yield from self._returned.get(name, [])
        if isinstance(call.func, ast.Name):
            yield call.func
        elif name == "get" and isinstance(call.func, ast.Attribute):
            yield from (call.func.value, *call.args[1:])
        if name == "join" or name in {"next", "mark"}:
            yield from call.args


def _write_message(value: ast.JoinedStr) -> str:
    names: dict[str, str] = {}
    parts = []
    for part in value.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value).replace("{", "{{").replace("}", "}}"))
        elif isinstance(part, ast.FormattedValue):
            parts.append(f"{{{_choose_name(part.value, names)}}}")
    return "".join(parts)


def _choose_name(value: ast.expr, names: dict[str, str]) -> str:
    """A name for the place: the same for the same expression, and another one for any other."""
    written = ast.unparse(value)
    if written not in names:
        name = _describe(value)
        taken = sum(each.rstrip("0123456789") == name for each in names.values())
        names[written] = f"{name}{taken + 1}" if taken else name
    return names[written]


def _describe(value: ast.expr) -> str:
    """The word that says most of what the expression is."""
    if isinstance(value, ast.Call):
        is_wrapped = value.args and _name_function(value) in _UNWRAPPED
        return _describe(value.args[0]) if is_wrapped else _name_function(value).strip("_")
    if isinstance(value, ast.Subscript):
        return _describe(value.value)
    if isinstance(value, ast.BinOp):
        return _describe(value.left)
    name = getattr(value, "attr", getattr(value, "id", "value"))
    return str(name).strip("_").lower()
