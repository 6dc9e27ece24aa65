"""Marks Python functions as tools of an assistant.

    from holdfast.tools import tool

    @tool
    def find_order(number: str) -> dict:
        \"\"\"Finds an order.

        Args:
            number: like HF20931.
        \"\"\"

    @tool(asks=True)
    def cancel_order(number: str, idempotency_key: str) -> dict:
        \"\"\"Cancels an order. The user is asked before.\"\"\"

In the config, ``[tools] functions = ["my_shop.tools"]`` takes all marked functions of a module, and
``"my_shop.tools:find_order"`` any one function, marked or not. See ``docs/parts.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

MARK: Final = "__holdfast_tool__"
"""The attribute of a marked function."""


@dataclass(frozen=True)
class ToolMark:
    """What a function says of itself as a tool; what is left out is the config's to say.

    Attributes:
        name: "" is the function's own. asks: the user has to agree before each call.
        timeout: seconds. max_result_bytes: a larger result is an error.
        sees: kinds of sensitive values, or keys of the config's ``[sensitive]``, that it is given in clear.
    """

    name: str = ""
    asks: bool = False
    timeout: float | None = None
    max_result_bytes: int | None = None
    sees: tuple[str, ...] = ()


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str = "",
    asks: bool = False,
    timeout: float | None = None,
    max_result_bytes: int | None = None,
    sees: Iterable[str] = (),
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    /,
    *,
    name: str = "",
    asks: bool = False,
    timeout: float | None = None,
    max_result_bytes: int | None = None,
    sees: Iterable[str] = (),
) -> F | Callable[[F], F]:
    """Decorator: this function is a tool. Its type hints and docstring say what arguments it takes.

    Args:
        asks: the user is asked before each call, because it changes something outside.
        timeout: seconds for a call.
        max_result_bytes: a larger result is an error.
        sees: kinds of sensitive values (``("phone",)``), or keys of the config's ``[sensitive]``, that it is given in clear. It is
            given all others masked.
    """
    if isinstance(sees, str):
        raise TypeError('sees takes several names: sees=("phone",)')
    mark = ToolMark(name, asks, timeout, max_result_bytes, tuple(sees))

    def marked(function: F) -> F:
        setattr(function, MARK, mark)
        return function

    return marked if function is None else marked(function)
