"""Whether the code of a TorchScript archive only computes, checked before any of it runs.

Opening an archive runs three things in it: `__setstate__`, the defaults of parameters, and assignments in the
body of a class. torch writes neither the first nor calls in the others, so these are checked in the source,
which is a subset of Python. All else is checked in the graphs that torch's own compiler makes of the source,
where no spelling hides a call.
"""

import ast
import pickletools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from convert.sources.program_check import UNSAFE_OPERATORS

# torch writes no tabs, other line ends or comments; its parser reads some of these as code.
_WRITTEN_BY_TORCH = re.compile(rb"(?:[\x20-\x7e]|\n)*")
_TYPE_COMMENT = b"# type:"
_FORMATTED = ("JoinedStr", "TemplateStr")  # strings that end at another place for Python than for torch
_EXTENSION = "torch.classes"
_PRIMITIVES = frozenset(
    f"prim::{name}"
    for name in (
        *("Constant", "Uninitialized", "If", "Loop", "Enter", "Exit", "Print", "RaiseException"),
        *("CallFunction", "CallMethod", "CreateObject", "GetAttr", "SetAttr", "fork", "Closure"),
        *("ListConstruct", "ListUnpack", "DictConstruct", "TupleConstruct", "TupleUnpack", "TupleIndex"),
        *("TupleSlice", "StringIndex", "ModuleContainerIndex", "EnumName", "EnumValue", "rangelist"),
        *("NumToTensor", "ImplicitTensorToNum", "tolist", "isinstance", "unchecked_cast"),
        *("unchecked_unwrap_optional", "abs", "min", "max", "data", "device", "dtype", "grad", "id", "index"),
        *("is_cpu", "is_cuda", "is_meta", "is_mkldnn", "is_nested", "is_quantized", "is_sparse", "itemsize"),
        *("layout", "name", "nbytes", "requires_grad", "shape", "type"),
    )
)


def find_code_run_on_opening(code: bytes) -> str | None:
    """The code in a source file that would run as the archive is opened, in words; None for none."""
    if _WRITTEN_BY_TORCH.fullmatch(code) is None or _TYPE_COMMENT in code:
        return "characters that torch does not write"
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "code that torch does not write"
    for node in ast.walk(tree):
        if type(node).__name__ in _FORMATTED:
            return "strings that torch does not write"
        if isinstance(node, ast.FunctionDef) and node.name == "__setstate__":
            return "code that runs as the file is opened (`__setstate__`)"
        if any(isinstance(inner, ast.Call) for part in _list_evaluated(node) for inner in ast.walk(part)):
            return f"a call that runs as the file is opened (line {getattr(node, 'lineno', 1)})"
    return None


def _list_evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of the node that torch evaluates as it reads it, without a call of the function or class."""
    if isinstance(node, ast.FunctionDef):
        yield from node.decorator_list
        yield from (
            default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None
        )
    elif isinstance(node, ast.ClassDef):
        yield from (*node.bases, *node.keywords, *node.decorator_list)
        yield from (statement for statement in node.body if not isinstance(statement, ast.FunctionDef))


def needs_extension(pickle: bytes) -> bool:
    """Whether a pickle of the archive builds an object in C++. Raises ValueError where it is damaged."""
    return any(
        _EXTENSION in str(argument).replace(" ", ".")
        for code, argument, _ in pickletools.genops(pickle)
        if code.name in ("GLOBAL", "INST")
    )


def find_unsafe_operation(functions: Iterable[Any]) -> tuple[str, str] | None:
    """The first compiled function that does more than compute, and its operation, in words."""
    for function in functions:
        for node in _walk_nodes(function.graph):
            reason = _find_reason(node)
            if reason is not None:
                return function.name, reason
    return None


def _walk_nodes(block: Any) -> Iterator[Any]:
    """The nodes, and those of all blocks and graphs inside them."""
    pending = [block]
    while pending:
        for node in pending.pop().nodes():
            yield node
            pending += node.blocks()
            for name in node.attributeNames():
                kind = node.kindOf(name)
                pending += [node.g(name)] if kind == "g" else node.gs(name) if kind == "gs" else ()


def _find_reason(node: Any) -> str | None:
    kind = node.kind()
    namespace, _, name = kind.partition("::")
    if namespace == "aten" and name in UNSAFE_OPERATORS:
        return f"`{kind}`, an operator that reads or writes files, or memory, beyond its tensors"
    if namespace not in ("aten", "prim"):
        return f"`{kind}`, an operator of an extension"
    if namespace == "prim" and kind not in _PRIMITIVES:
        return f"`{kind}`, which is nothing that a model computes"
    if any(_EXTENSION in value.type().annotation_str for value in (*node.inputs(), *node.outputs())):
        return f"a class of a C++ extension (`{_EXTENSION}`)"
    return None
