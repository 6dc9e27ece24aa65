"""Conversations held with an assistant over a real store, and a small stand-in for documents."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast import Citation, Outcome, Store, open_store
from holdfast.assistant.assistant import Assistant
from holdfast.assistant.building import build_assistant
from holdfast.assistant.contract import Model
from holdfast.config import Config, load_config
from holdfast.knowledge import Hit, Knowledge, Passage
from holdfast.knowledge.contract import SearchResult

RETURNS = Passage(
    "p1", "returns.md", "Returns", 2, 0, 60, "Goods can be returned within 7 days. 商品签收后 7 天内可以退货。"
)
SHIPPING = Passage("p2", "shipping.md", "Shipping", None, 0, 30, "Shipping takes 2 working days.")


ORDER_TASK = Path(__file__).with_name("order_task.toml")


class ShelfOfTwo:
    """`Knowledge` of two passages, found by a word."""

    queries: list[str]

    def __init__(self) -> None:
        self.queries = []

    async def retrieve(self, query: str, *, limit: int = 5) -> SearchResult:
        self.queries.append(query)
        words = {"return": RETURNS, "退": RETURNS, "shipping": SHIPPING, "运": SHIPPING}
        found = [passage for word, passage in words.items() if word in query.partition("\n")[0].lower()]
        hits = [Hit(passage, 1.0 - place / 10, 0.9) for place, passage in enumerate(dict.fromkeys(found))]
        return SearchResult(tuple(hits), threshold=0.5)

    async def passage(self, id: str) -> Passage | None:
        return next((passage for passage in (RETURNS, SHIPPING) if passage.id == id), None)

    async def documents(self) -> list[Any]:
        return []

    async def close(self) -> None: ...


class Conversation:
    """One session's turns, each checked: the tokens are the reply, and no full phone number is in what leaves."""

    def __init__(self, assistant: Assistant, stores: Sequence[Store], session: str = "s-1") -> None:
        self.assistant = assistant
        self.stores = stores
        self.session = session
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.turns = 0

    async def say(self, text: str, secret: str = "") -> str:
        """The reply. ``secret``: what must not leave the server, beside the phone number in the state."""
        return (await self.turn(text, secret)).reply

    async def turn(self, text: str, secret: str = "") -> Outcome:
        self.events.clear()
        store = self.stores[self.turns % len(self.stores)]
        self.turns += 1

        def keep(kind: str, data: dict[str, Any]) -> None:
            self.events.append((kind, data))

        outcome = await store.run_turn(self.session, self.assistant, input=text, on_event=keep)
        assert "".join(data["text"] for kind, data in self.events if kind == "token") == outcome.reply
        state = await store.get(self.session)
        shown = [self.assistant.masker.message(message, state) for message in outcome.messages]
        left = json.dumps(
            [self.events, msgspec.to_builtins(shown), self.assistant.masker.state(state)], ensure_ascii=False
        )
        for number in filter(None, (secret, str(state.get("phone", "")))):
            assert number not in left
            assert number not in outcome.reply
        return outcome

    async def state(self) -> dict[str, Any]:
        return await self.stores[0].get(self.session)

    def citations(self) -> list[Citation]:
        return [
            msgspec.convert(citation, Citation)
            for kind, data in self.events
            if kind == "citations"
            for citation in data["citations"]
        ]


Talk = Callable[..., Any]


def order_task(**changes: Any) -> list[dict[str, Any]]:
    """The sample's order status as ``[[tasks]]``."""
    return [{**load_config(ORDER_TASK).tasks[0].model_dump(), **changes}]


@pytest.fixture
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a model nor a store of whoever runs the tests."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HOLDFAST_STORE"):
        monkeypatch.delenv(name, raising=False)


def sample(**sections: Any) -> Config:
    """The sample's config, without its index, and with sections changed; with tasks of its own, without the sample's flows."""
    if "tasks" in sections:
        sections["assistant"] = {"flows": [], **sections.get("assistant", {})}
    knowledge = {"index": "", "folders": [], **sections.pop("knowledge_settings", {})}
    return load_config(overrides={"knowledge": knowledge, **sections})


@pytest.fixture
async def talk(no_settings_around: None) -> AsyncIterator[Talk]:
    """Opens conversations: ``await talk(knowledge=..., model=..., tasks=[...])``. ``as_task``: with `order_task` only."""
    async with AsyncExitStack() as stack:

        async def start(
            knowledge: Knowledge | None = None,
            model: Model | None = None,
            urls: Sequence[str] = ("memory:",),
            model_settings: dict[str, Any] | None = None,
            as_task: bool = False,
            **sections: Any,
        ) -> Conversation:
            if as_task:
                sections["tasks"] = order_task()
            config = sample(model=model_settings or {}, **sections)
            assistant = await build_assistant(config, knowledge=knowledge or ShelfOfTwo(), model=model)
            stack.push_async_callback(assistant.aclose)
            stores = [await stack.enter_async_context(open_store(url)) for url in urls]
            return Conversation(assistant, stores)

        yield start
