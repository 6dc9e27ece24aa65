"""Every part is replaceable: one conversation in which all seven are the test's own, and what is said of those that are broken."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest

from holdfast import Citation, open_store
from holdfast.assistant.building import build_assistant
from holdfast.assistant.context import Context
from holdfast.assistant.contract import Chunk, Prompt, Retrieval, ToolSpec, Understanding
from holdfast.assistant.parts import KINDS, METHODS, PartKind, Parts, own
from holdfast.config import Config, load_config
from holdfast.errors import ConfigError, ModelError
from holdfast.turns.turn import Turn

pytestmark = pytest.mark.usefixtures("no_settings_around")

used: list[str] = []
"""What the test's own parts did, in order."""


class Part:
    """What the test's own parts have in common: they tell that they were made, and closed."""

    def __init__(self, parts: Parts) -> None:
        used.append(f"made {type(self).__name__}")
        self.parts = parts

    async def aclose(self) -> None:
        used.append(f"closed {type(self).__name__}")


class OwnModel(Part):
    name = "own"

    async def stream(
        self, prompts: Sequence[Prompt], *, tools: Sequence[ToolSpec] = (), schema: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[Chunk, None]:
        used.append(f"model: {[prompt.content for prompt in prompts]}")
        yield Chunk("as written ")
        yield Chunk("by the model", finish="stop")


class OwnMemory(Part):
    async def history(self, turn: Turn, *, tokens: int) -> Sequence[Prompt]:
        used.append(f"memory: {len(turn.messages)} messages")
        return [Prompt("user" if message.role == "user" else "assistant", message.content) for message in turn.messages]


class OwnKnowledge(Part):
    async def search(self, question: str, earlier: Sequence[str]) -> Retrieval:
        used.append(f"knowledge: {question}")
        cited = Citation("shelf", "From the shelf.", "Shelf")
        return Retrieval(question, True, (cited,), (cited,), (1.0,))


class OwnTools(Part):
    def specs(self) -> Sequence[ToolSpec]:
        return [ToolSpec("measure", "Measures.", {"type": "object", "properties": {}})]

    async def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], *, step: str) -> Any:
        def measure() -> int:
            used.append(f"tools: {name}")
            return 42

        return await turn.step(step, measure)


class OwnAnswer(Part):
    async def answer(self, context: Context, retrieval: Retrieval) -> None:
        used.append("answer")
        number = context.speaker.cite(retrieval.passages[0])
        prompts = [*await context.memory.history(context.turn, tokens=100), Prompt("user", retrieval.question)]
        assert context.model is not None
        async for chunk in context.model.stream(prompts):
            context.speaker.stream(chunk.text)
        context.speaker.say(f" [{number}]")


class OwnUnderstanding(Part):
    async def understand(self, turn: Turn, before: Understanding | None) -> Understanding:
        used.append(f"understanding: {turn.text}")
        return Understanding(turn.text.upper(), "en", frozenset({"question"}))


class OwnPolicy(Part):
    async def respond(self, context: Context) -> bool:
        used.append(f"policy: {context.understood.text}")
        measured = await context.tools.call(context.turn, "measure", {}, step="own:measure")
        context.turn.state["measured"] = context.turn.state.get("measured", 0) + measured
        context.speaker.say(f"{measured}: ")
        retrieval = await context.search(context.understood.text)
        assert retrieval is not None
        await context.answer.answer(context, retrieval)
        return True


OWN: dict[PartKind, type[Part]] = {
    "model": OwnModel,
    "memory": OwnMemory,
    "knowledge": OwnKnowledge,
    "tools": OwnTools,
    "answer": OwnAnswer,
    "understanding": OwnUnderstanding,
    "policy": OwnPolicy,
}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of a user's own, with a part of each kind."""
    found = ModuleType("every_part")
    for part in OWN.values():
        setattr(found, part.__name__, part)
    monkeypatch.setitem(sys.modules, "every_part", found)
    used.clear()
    return found


def sample(assistant: dict[str, Any]) -> Config:
    """The sample's config, without its documents, with parts of one's own."""
    return load_config(overrides={"knowledge": {"index": "", "folders": []}, "assistant": assistant})


def chosen(**changes: str) -> dict[str, Any]:
    names = {kind: f"every_part:{part.__name__}" for kind, part in OWN.items()} | changes
    return {**names, "understanding": [names["understanding"]], "policy": [names["policy"]], "flows": []}


async def test_a_conversation_in_which_every_part_is_ones_own(module: ModuleType, tmp_path: Any) -> None:
    assert set(OWN) == set(KINDS)
    assistant = await build_assistant(sample(assistant=chosen()))
    assert used == [f"made {OWN[kind].__name__}" for kind in KINDS]
    used.clear()
    async with open_store(f"sqlite:///{tmp_path / 'own.db'}") as store:
        first = await store.run_turn("s-1", assistant, input="how long", turn_id="t-1")
        assert used == [
            "understanding: how long",
            "policy: HOW LONG",
            "tools: measure",
            "knowledge: HOW LONG",
            "answer",
            "memory: 0 messages",
            "model: ['HOW LONG']",
        ]
        assert first.reply == "42: as written by the model [1]"
        assert first.messages[-1].citations == (Citation("shelf", "From the shelf.", "Shelf"),)
        used.clear()
        second = await store.run_turn("s-1", assistant, input="how wide", turn_id="t-2")
        assert second.reply == first.reply
        assert "memory: 2 messages" in used
        assert "model: ['how long', '42: as written by the model [1]', 'HOW WIDE']" in used
        assert (await store.get("s-1"))["measured"] == 84
        used.clear()
        assert (await store.run_turn("s-1", assistant, input="how wide", turn_id="t-2")).replayed
        assert used == []
    await assistant.aclose()
    assert sorted(used) == sorted(f"closed {part.__name__}" for part in OWN.values())


async def test_a_step_of_ones_own_tools_is_not_run_again(module: ModuleType) -> None:
    assistant = await build_assistant(sample(assistant=chosen()))
    dies = [True]

    async def dying(turn: Turn) -> None:
        await assistant(turn)
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    async with open_store("memory:") as store:
        with pytest.raises(RuntimeError):
            await store.run_turn("s-1", dying, input="how long", turn_id="t-1")
        outcome = await store.run_turn("s-1", dying, input="how long", turn_id="t-1")
    assert outcome.reply == "42: as written by the model [1]"
    assert used.count("tools: measure") == 1 and used.count("knowledge: HOW LONG") == 2
    await assistant.aclose()


# --- broken ones ---


def raises(parts: Parts) -> Any:
    raise RuntimeError("the shop is closed")


def wants_more(parts: Parts, more: int) -> Any: ...


async def is_async(parts: Parts) -> Any: ...


def returns_text(parts: Parts) -> str:
    return "a part"


def returns_nothing(parts: Parts) -> None: ...


BROKEN: list[tuple[Callable[..., Any], str]] = [
    (raises, "cannot be made: RuntimeError: the shop is closed"),
    (wants_more, "cannot be made: TypeError: wants_more() missing 1 required positional argument: 'more'"),
    (is_async, "is async; a factory returns the part itself"),
    (returns_text, "made str, which has no method"),
]


@pytest.mark.parametrize(("factory", "why"), BROKEN, ids=lambda one: getattr(one, "__name__", ""))
@pytest.mark.parametrize("kind", KINDS)
async def test_a_broken_factory_is_named_with_its_key(
    module: ModuleType, kind: PartKind, factory: Callable[..., Any], why: str
) -> None:
    module.broken = factory  # type: ignore[attr-defined]
    with pytest.raises(ConfigError) as caught:
        await build_assistant(sample(assistant=chosen(**{kind: "every_part:broken"})))
    assert str(caught.value).startswith(f'assistant.{kind} = "every_part:broken" {why}')
    made = [one.removeprefix("made ") for one in used if one.startswith("made ")]
    assert sorted(one.removeprefix("closed ") for one in used if one.startswith("closed ")) == sorted(made)


@pytest.mark.parametrize(("kind", "method"), [(kind, method) for kind in KINDS for method in METHODS[kind]])
async def test_a_method_that_is_missing_is_named(module: ModuleType, kind: PartKind, method: str) -> None:
    lacking = type("Lacking", (Part,), {name: lambda self: None for name in METHODS[kind] if name != method})
    if method == "aclose":
        lacking = type("Lacking", (), {"__init__": lambda self, parts: None, "stream": lambda self: None})
    module.Lacking = lacking  # type: ignore[attr-defined]
    with pytest.raises(ConfigError) as caught:
        await build_assistant(sample(assistant=chosen(**{kind: "every_part:Lacking"})))
    assert str(caught.value) == f'assistant.{kind} = "every_part:Lacking" made Lacking, which has no method {method}()'


@pytest.mark.parametrize("kind", KINDS)
async def test_only_model_and_documents_can_be_left_out(module: ModuleType, kind: PartKind) -> None:
    module.nothing = returns_nothing  # type: ignore[attr-defined]
    config = sample(assistant=chosen(**{kind: "every_part:nothing"}))
    if kind in ("model", "knowledge"):
        assistant = await build_assistant(config)
        assert (assistant.model if kind == "model" else assistant.parts.documents) is None
        await assistant.aclose()
        return
    with pytest.raises(
        ConfigError, match=f'assistant.{kind} = "every_part:nothing" made NoneType, which has no method'
    ):
        await build_assistant(config)


@pytest.mark.parametrize("error", [ConfigError("set SHOP_URL"), ModelError("it is off", "unreachable")])
async def test_what_a_factory_says_in_holdfasts_own_errors_is_passed_on(module: ModuleType, error: Exception) -> None:
    def refuses(parts: Parts) -> Any:
        raise error

    module.refuses = refuses  # type: ignore[attr-defined]
    with pytest.raises(type(error)) as caught:
        await build_assistant(sample(assistant=chosen(policy="every_part:refuses")))
    assert caught.value is error


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("def broken(:", "SyntaxError"),
        ("raise KeyError('SHOP_URL')", "KeyError: 'SHOP_URL'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("part = 5", "has no function or class 'part'"),
    ],
)
async def test_a_module_that_cannot_be_imported(
    module: ModuleType, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, body: str, why: str
) -> None:
    (tmp_path / "wrong_part.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wrong_part", raising=False)
    with pytest.raises(ConfigError) as caught:
        await build_assistant(sample(assistant=chosen(answer="wrong_part:part")))
    assert str(caught.value).startswith('assistant.answer = "wrong_part:part"')
    assert why in str(caught.value)
    assert why in own("answer", "wrong_part:part").error
    sys.modules.pop("wrong_part", None)
