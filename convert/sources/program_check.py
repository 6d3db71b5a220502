"""Whether the description of a torch.export program can be opened without running code of its choice.

torch writes the names in it into Python source, evaluates its expressions with `eval`, and resolves the
functions that it calls by any dotted name. So every string must have its expected form.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

LONGEST_EXPRESSION = 1000
_NAME = re.compile(r"[\w.]*", re.ASCII)
_OPERATOR = re.compile(
    r"torch\.ops\.(?:aten|prims|torchvision)\.(?P<name>\w+)\.\w+"
    r"|torch\.ops\.higher_order\.(?:cond|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\.sym_(?:float|int|max|min|ite|not|sum|sqrt)"
    r"|_operator\.(?:add|sub|mul|floordiv|truediv|mod|neg|pow|getitem|ge|gt|le|lt|eq|ne|and_|or_)"
    r"|math\.(?:ceil|floor|trunc|sqrt)",
    re.ASCII,
)
UNSAFE_OPERATORS = frozenset(
    (
        *("from_file", "save", "_sparse_coo_tensor_unsafe", "_sparse_compressed_tensor_unsafe"),
        *(f"_sparse_{layout}_tensor_unsafe" for layout in ("bsc", "bsr", "csc", "csr")),
    )
)
"""torch's operators (`aten`) on files, and those with unchecked indices, which reach any memory."""
_ARITHMETIC = re.compile(r"(?:[\w\s+\-/%(),=.'<>]|\*(?!\*))*", re.ASCII)
_SYMBOL = re.compile(r"[suz][a-z]{0,2}\d{1,9}|\d{1,18}", re.ASCII)
_WORD = re.compile(r"\w+", re.ASCII)
_SQUARE = re.compile(r"Pow\((Symbol\('\w+'[^()]*\)), Integer\(\d\)\)", re.ASCII)
_WORDS = frozenset(
    (
        *("Symbol", "positive", "nonnegative", "integer", "real", "True", "False", "Integer", "Add", "Mul"),
        *("Max", "Min", "Mod", "PythonMod", "FloorDiv", "CleanDiv", "CeilDiv", "CeilToInt", "FloorToInt"),
        *("IntTrueDiv", "FloatTrueDiv", "ToFloat", "TruncToInt", "Eq", "Ne", "Ge", "Gt", "Le", "Lt"),
        *("And", "Or", "Not"),
    )
)
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
# Strings of any form: literals, which torch quotes, and descriptions of where a node came from.
_LITERAL = frozenset(("as_string", "metadata", "torch_version", "guards_code"))


def find_unsafe(program: object) -> str | None:
    """The first unsafe part of the description, in words; None where all of it is safe."""
    return next(
        (reason for key, text in _walk_strings("", program) if (reason := _find_reason(key, text))), None
    )


def _walk_strings(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Each string with its key; the keys themselves too, as names."""
    if isinstance(value, str):
        yield key, value
    elif key in _LITERAL:
        return
    elif isinstance(value, list):
        for member in value:
            yield from _walk_strings(key, member)
    elif isinstance(value, dict):
        for inner, member in value.items():
            yield "", inner
            yield from _walk_strings(inner, member)


def _find_reason(key: str, text: str) -> str | None:
    if key in _LITERAL:
        return None
    if key == "target" and text.startswith(("torch", "_operator", "math", "#")):
        known = _OPERATOR.fullmatch(text)
        if known is not None and known["name"] not in UNSAFE_OPERATORS:
            return None
        return f"the function `{text[:100]}`, which is no operator on tensors"
    if key == "expr_str":
        return (
            None if _is_arithmetic(text) else f"the expression `{text[:100]}`, which is no plain arithmetic"
        )
    if key in ("in_spec", "out_spec"):
        return _find_foreign_container(text)
    return None if _NAME.fullmatch(text) else f"the name `{text[:100]}`, which is none"


def _is_arithmetic(text: str) -> bool:
    return (
        len(text) <= LONGEST_EXPRESSION
        and _ARITHMETIC.fullmatch(text) is not None
        and all(word in _WORDS or _SYMBOL.fullmatch(word) for word in _WORD.findall(_SQUARE.sub(r"\1", text)))
    )


def _find_foreign_container(text: str) -> str | None:
    """The first kind of container in a serialised tree that is not one of torch's plain ones, in words."""
    try:
        spec: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "a description of containers that is not JSON"
    trees = [spec[1]] if isinstance(spec, list) and len(spec) == 2 else [None]
    while trees:
        tree = trees.pop()
        if not isinstance(tree, dict) or not isinstance(tree.get("children_spec"), list):
            return "a description of containers that is none"
        if tree.get("type") not in _CONTAINERS:
            return f"inputs or outputs in a `{str(tree.get('type'))[:100]}`"
        trees += tree["children_spec"]
    return None
