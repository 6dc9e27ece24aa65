"""Conditions and values in flows: ``outcome == "found" and amount > 100``. A small part of Python's expressions, without calls.

Names are the flow's slots and what its tools returned; ``order.status`` is the key ``status`` of a mapping; what is not there is
None, and None is neither less nor more than anything. Expressions are bounded in length, and nothing in them takes long.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

LONGEST: Final = 500
"""Characters of an expression."""
DEEPEST: Final = 40
"""Expressions within expressions."""
_LARGEST: Final = 1e18
"""Of a number in a sum; what would be larger is None."""

_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_NAMES: Final = {"true": True, "false": False, "none": None, "True": True, "False": False, "None": None}


class Expression:
    """A checked expression. Raises `ValueError` (what is wrong with it) where it is none."""

    __slots__ = ("_root", "names", "text")

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"is longer than {LONGEST} characters")
        try:
            with warnings.catch_warnings():  # of escapes that Python may refuse some day
                warnings.simplefilter("ignore")
                root = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"{text!r} is not an expression") from None
        if _depth(root) > DEEPEST:
            raise ValueError(f"{text!r} is nested deeper than {DEEPEST} levels")
        self.text = text
        self.names = frozenset(_checked(root, text)) - _NAMES.keys()
        """The names that it looks at."""
        self._root = root

    def value(self, names: Mapping[str, Any]) -> Any:
        """What it says, with these values. Never raises for values that do not fit: the result is None then."""
        try:
            return _value(self._root, names)
        except Exception:  # noqa: BLE001  # values come from tools: whatever comparing them raises, the conversation goes on
            return None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _depth(root: ast.expr) -> int:
    deepest = 0
    left: list[tuple[ast.AST, int]] = [(root, 1)]
    while left:
        node, depth = left.pop()
        deepest = max(deepest, depth)
        left += [(child, depth + isinstance(child, ast.expr)) for child in ast.iter_child_nodes(node)]
    return deepest


def _checked(node: ast.expr, text: str) -> set[str]:
    """The names in it."""
    match node:
        case ast.Constant(value=str() | int() | float() | None):
            return set()
        case ast.Name(id=name):
            return {name}
        case ast.Attribute(value=inner):
            return _checked(inner, text)
        case ast.Subscript(value=inner, slice=key):
            return _checked(inner, text) | _checked(key, text)
        case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            return set().union(*(_checked(part, text) for part in parts))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=inner):
            return _checked(inner, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _checked(left, text) | _checked(right, text)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            for comparison in ops:
                if not isinstance(comparison, (*_COMPARE, ast.In, ast.NotIn, ast.Is, ast.IsNot)):
                    break
            else:
                return set().union(*(_checked(part, text) for part in (left, *rest)))
    raise ValueError(
        f"{text!r}: {ast.unparse(node)!r} is not allowed here; compare, and/or/not, in, + - * and keys are"
    )


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names.get(name, _NAMES.get(name))
        case ast.Attribute(value=inner, attr=key):
            return _item(_value(inner, names), key)
        case ast.Subscript(value=inner, slice=key_node):
            return _item(_value(inner, names), _value(key_node, names))
        case ast.BoolOp(op=op, values=parts):
            last: Any = None
            for part in parts:
                last = _value(part, names)
                if bool(last) == isinstance(op, ast.Or):
                    break
            return last
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _value(inner, names)
        case ast.UnaryOp(operand=inner):
            number = _value(inner, names)
            return -number if isinstance(number, int | float) else None
        case ast.BinOp(left=left, op=op, right=right):
            return _sum(type(op), _value(left, names), _value(right, names))
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part, names) for part in parts]
        case ast.Compare(left=left, ops=ops, comparators=rest):
            before = _value(left, names)
            for comparison, part in zip(ops, rest, strict=True):
                after = _value(part, names)
                if not _holds(comparison, before, after):
                    return False
                before = after
            return True
    raise AssertionError(node)  # `_checked` lets nothing else through


def _item(holder: Any, key: Any) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(key) if isinstance(key, str) else None
    if isinstance(holder, list | tuple) and isinstance(key, int) and -len(holder) <= key < len(holder):
        return holder[key]
    return None


def _sum(op: type[ast.operator], left: Any, right: Any) -> Any:
    both = (left, right)
    if all(isinstance(one, int | float) for one in both):
        if not all(abs(one) < _LARGEST for one in both):
            return None
        value = _ARITHMETIC[op](left, right)
        return value if abs(value) < _LARGEST else None
    if op is ast.Add and all(isinstance(one, str) for one in both):
        return (left + right)[:100_000]
    return None


def _holds(op: ast.cmpop, left: Any, right: Any) -> bool:
    match op:
        case ast.Is():
            return left is right or left == right
        case ast.IsNot():
            return not (left is right or left == right)
        case ast.In() | ast.NotIn():
            try:
                inside = right is not None and left in right
            except TypeError:
                inside = False
            return inside == isinstance(op, ast.In)
    if isinstance(left, datetime) != isinstance(right, datetime) and all(
        isinstance(one, date) for one in (left, right)
    ):
        left, right = (one.date() if isinstance(one, datetime) else one for one in (left, right))
    try:
        return bool(_COMPARE[type(op)](left, right))
    except (TypeError, ArithmeticError):  # None with a number, text with a number; a Decimal that is no number
        return False
