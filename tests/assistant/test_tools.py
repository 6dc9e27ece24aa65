"""Python functions as tools: described, checked, called within limits, recorded once."""

from __future__ import annotations

import asyncio
import enum
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any, Literal, Optional, TypedDict

import msgspec
import pytest

from holdfast import Store, Turn, open_store
from holdfast.assistant.tool_functions import FunctionTools
from holdfast.config import ToolsSection
from holdfast.errors import ConfigError, ToolError
from holdfast.tools import tool


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Address(TypedDict, total=False):
    city: str
    zip: int


class Line(msgspec.Struct):
    item: str
    count: int = 1


@dataclass
class Gift:
    name: str


@tool
def order(
    number: str,
    count: int,
    price: Decimal = Decimal("1.5"),
    express: bool = False,
    weight: float = 0.5,
    size: Size = Size.SMALL,
    colour: Literal["red", "blue"] = "red",
    day: Optional[date] = None,  # noqa: UP045  (as users write it)
    at: datetime | None = None,
    tags: list[str] = [],  # noqa: B006
    notes: dict[str, int] | None = None,
    address: Address | None = None,
    line: Line | None = None,
    gift: Gift | None = None,
    idempotency_key: str = "",
) -> dict[str, Any]:
    """Orders something,
    quickly.

    It takes a while.

    Args:
        number: Like HF20931.
        count (int): How many,
            at least one.

    Returns:
        The order.
    """
    return {"number": number, "count": count, "price": price, "size": size.value, "day": day, "key": idempotency_key}


@tool(name="drop-order", asks=True, timeout=0.1)
async def cancel(number: str) -> str:
    """Cancels an order."""
    return f"{number} is cancelled"


def unmarked(text: str) -> str:
    return text


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of a user's own."""
    made = ModuleType("users_tools")
    monkeypatch.setitem(sys.modules, "users_tools", made)
    for name, function in {"order": order, "cancel": cancel, "unmarked": unmarked}.items():
        setattr(made, name, function)
    return made


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_store("memory:") as opened:
        yield opened


def tools_of(*functions: str, also: dict[str, float | None] | None = None, **settings: Any) -> FunctionTools:
    return FunctionTools(ToolsSection(functions=functions or ("users_tools",), **settings), also=also)


async def called(store: Store, tools: FunctionTools, name: str, arguments: dict[str, Any], turn_id: str = "t") -> Any:
    """What a call returns, or its error, in a turn of its own."""
    found: list[Any] = []

    async def handler(turn: Turn) -> None:
        try:
            found.append(await tools.call(turn, name, arguments, step="call"))
        except ToolError as error:
            found.append(error)

    await store.run_turn("s", handler, turn_id=turn_id)
    return found[-1]


def test_a_function_is_described_by_its_hints_and_its_docstring(module: ModuleType) -> None:
    specs = {spec.name: spec for spec in tools_of().specs()}
    assert set(specs) == {"order", "drop-order"}
    spec = specs["order"]
    assert spec.description == "Orders something, quickly."
    properties = spec.parameters["properties"]
    assert properties["number"] == {"type": "string", "description": "Like HF20931."}
    assert properties["count"]["description"] == "How many, at least one."
    assert properties["weight"] == {"type": "number", "default": 0.5}
    assert properties["colour"]["enum"] == ["blue", "red"] and properties["colour"]["default"] == "red"
    assert properties["day"] == {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    assert spec.parameters["required"] == ["number", "count"]
    assert spec.parameters["additionalProperties"] is False
    assert {"Size", "Address", "Line", "Gift"} == set(spec.parameters["$defs"])
    assert "idempotency_key" not in properties
    assert not spec.asks and specs["drop-order"].asks


async def test_arguments_are_converted_before_the_call(module: ModuleType, store: Store) -> None:
    arguments = {"number": "HF1", "count": "3", "price": 2.5, "size": "large", "day": "2026-11-27"}
    result = await called(store, tools_of(), "order", arguments)
    assert result["count"] == 3 and result["price"] == Decimal("2.5") and result["size"] == "large"
    assert result["day"] == date(2026, 11, 27)
    assert len(result["key"]) == 32


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"number": "x"}, "argument 'count' is missing"),
        ({"number": "x", "count": "many-secret"}, "argument 'count': Expected `int`, got `str`"),
        ({"number": 13800001234, "count": 1}, "argument 'number': Expected `str`, got `int`"),
        ({"number": "x", "count": 1, "colour": "secret"}, "argument 'colour': is none of blue, red"),
        ({"number": "x", "count": 1, "size": "secret"}, "argument 'size': is none of large, small"),
        ({"number": "x", "count": 1, "line": {"count": 1}}, "argument 'line': Object missing required field `item`"),
        ({"number": "x", "count": 1, "tags": ["a", 3]}, "argument 'tags': Expected `str`, got `int` (at tags[1])"),
        ({"number": "x", "count": 1, "day": "secret"}, "argument 'day': "),
        ({"number": "x", "count": 1, "strange": "secret"}, "there is no argument 'strange'"),
        ({"number": "x", "count": 1, "idempotency_key": "secret"}, "there is no argument 'idempotency_key'"),
    ],
    ids=str,
)
async def test_a_wrong_argument_is_named_without_its_value(
    module: ModuleType, store: Store, arguments: dict[str, Any], says: str
) -> None:
    error = await called(store, tools_of(), "order", arguments)
    assert isinstance(error, ToolError) and error.reason == "arguments"
    assert says in str(error)
    for value in ("secret", "13800001234"):
        assert value not in str(error)


async def test_the_allow_list_is_kept(module: ModuleType, store: Store) -> None:
    tools = tools_of(allow=["order"])
    assert [spec.name for spec in tools.specs()] == ["order"]
    error = await called(store, tools, "drop-order", {"number": "x"})
    assert error.reason == "not_allowed" and "is not allowed" in str(error)
    assert (await called(store, tools, "rm -rf", {}, "t2")).reason == "not_allowed"


async def test_nothing_may_be_called_where_the_list_is_empty(module: ModuleType) -> None:
    assert tools_of(allow=[]).specs() == []


async def test_tools_of_flows_are_callable_and_offered_to_no_model(module: ModuleType, store: Store) -> None:
    tools = tools_of("users_tools:order", allow=["order"], also={"users_tools:unmarked": 1.0})
    shown = {spec.name: spec.flows_only for spec in tools.specs()}
    assert shown == {"order": False, "unmarked": True}
    assert await called(store, tools, "unmarked", {"text": "x"}) == "x"
    both = tools_of("users_tools:order", allow=["order", "unmarked"], also={"users_tools:unmarked": None})
    assert not any(spec.flows_only for spec in both.specs())


def test_names_to_ask_for_stand_in_the_config_too(module: ModuleType) -> None:
    assert {spec.name: spec.asks for spec in tools_of(ask=["order"]).specs()} == {"order": True, "drop-order": True}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"functions": ["users_tools:nothing"]}, "has no function or class 'nothing'"),
        ({"functions": ["nowhere.at.all"]}, "cannot be imported"),
        ({"functions": ["json"]}, "has no function that is marked"),
        (
            {"functions": ["users_tools"], "allow": ["ordr"]},
            "tools.allow: there is no tool 'ordr'; did you mean 'order'?",
        ),
        ({"functions": ["users_tools"], "limits": {"x": {"timeout": 1}}}, "tools.limits: there is no tool 'x'"),
        ({"functions": ["users_tools:order", "users_tools:other"]}, "there is a tool named 'order' already"),
        ({"functions": ["users_tools:odd"]}, "takes a type that no schema can say"),
        ({"functions": ["users_tools:by_place"]}, "by position only"),
        ({"functions": ["users_tools:lost"]}, "type hints of"),
    ],
    ids=str,
)
def test_a_tool_that_is_none_is_named(module: ModuleType, settings: dict[str, Any], says: str) -> None:
    def by_place(x: int, /) -> None: ...
    def odd(x: Callable[[], int]) -> None: ...
    def lost(x: "NotThere") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037

    @tool(name="order")
    def other() -> None: ...

    for function in (by_place, odd, lost, other):
        if f"users_tools:{function.__name__}" in settings["functions"]:
            setattr(module, function.__name__, function)
    with pytest.raises(ConfigError) as caught:
        FunctionTools(ToolsSection(**settings))
    assert says in str(caught.value)


async def sleeps(x: int = 0) -> None:
    await asyncio.sleep(60)


async def will_not_stop(x: int = 0) -> None:
    for _ in range(50):
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue


def blocks(x: int = 0) -> None:
    threading.Event().wait(3)


def raises(x: int = 0) -> None:
    raise ValueError("customer 13800001234 is unknown")


def stops(x: int = 0) -> None:
    raise StopIteration


def leaves(x: int = 0) -> None:
    raise SystemExit(3)


def huge(x: int = 0) -> str:
    return "x" * 10_000_000


def strange(x: int = 0) -> object:
    return object()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (sleeps, "timeout"),
        (will_not_stop, "timeout"),
        (blocks, "timeout"),
        (raises, "raised"),
        (stops, "raised"),
        (leaves, "raised"),
        (huge, "result"),
        (strange, "result"),
    ],
)
async def test_a_tool_that_fails_is_an_error_and_is_called_once(
    module: ModuleType, store: Store, function: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def counted(x: int = 0) -> Any:
        calls.append(x)
        return function(x)

    counted.__name__ = "act"
    module.act = counted  # type: ignore[attr-defined]
    tools = tools_of("users_tools:act", timeout=0.1)
    dies = [True]
    errors: list[ToolError] = []

    async def handler(turn: Turn) -> None:
        try:
            await tools.call(turn, "act", {"x": 1}, step="call")
        except ToolError as error:
            errors.append(error)
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    started = time.monotonic()
    with pytest.raises(RuntimeError):
        await store.run_turn("s", handler, turn_id="t")
    await store.run_turn("s", handler, turn_id="t")
    assert time.monotonic() - started < 2.5
    assert [error.reason for error in errors] == [reason, reason] and str(errors[0]) == str(errors[1])
    assert calls == [1]
    assert "13800001234" not in caplog.text + str(errors)


async def test_limits_may_differ_for_one_tool(module: ModuleType, store: Store) -> None:
    module.huge = huge  # type: ignore[attr-defined]
    limits = {"huge": {"max_result_bytes": 100}, "order": {"timeout": 1}}
    tools = tools_of("users_tools:huge", "users_tools:order", max_result_bytes=20_000_000, limits=limits)
    error = await called(store, tools, "huge", {})
    assert "takes 10000" in str(error) and error.reason == "result"


async def test_plain_functions_block_nobody(module: ModuleType, store: Store) -> None:
    module.blocks = blocks  # type: ignore[attr-defined]
    tools = tools_of("users_tools:blocks", timeout=0.05)
    await asyncio.gather(*(called(store, tools, "blocks", {}, f"t{n}") for n in range(3)))
    assert await asyncio.to_thread(lambda: 1) == 1
