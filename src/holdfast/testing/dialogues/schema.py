"""What a file of dialogues may say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from holdfast.config.fields import Language, Regex, Seconds, Section


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _texts(value: Any) -> Any:
    """A number where text is meant ("said: 30") is text."""
    found = (str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in _several(value))
    return tuple(found)


def _moment(value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("has to be a moment like 2026-09-21T10:00:00+08:00") from None
    return moment if moment.tzinfo is not None else moment.astimezone()


Said = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) and value is not True else value)
]
"""What a user says; ``user: 11`` is text too."""
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Patterns = Annotated[tuple[Regex, ...], BeforeValidator(_texts)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


class Played(Section):
    """What a tool does instead of what it would do.

    Attributes:
        returns: its result. raises: it fails with this message.
        delay: seconds that it takes; from its time-out on it fails at once, as one that gave no answer in time.
    """

    returns: Any = None
    raises: str = ""
    delay: Seconds = 0.0


def _plays(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Plays = dict[str, Annotated[tuple[Played, ...], BeforeValidator(_plays), Field(min_length=1)]]
"""By tool: what its calls do one after the other; further ones do as the last."""


class Called(Section):
    """A call that has to have happened. ``with``: these arguments, perhaps among others."""

    name: str
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")


def _calls(value: Any) -> Any:
    return tuple({"name": one} if isinstance(one, str) else one for one in _several(value))


class Expect(Section):
    """What has to be so after a turn. Whatever is not mentioned is not looked at.

    Attributes:
        said, said_not: texts that the reply contains, or does not. matches: regular expressions that are found in it.
        flow: the one that runs now; null where none does. started, ended: flows that did so in this turn.
        slots, state: values by name; of a mapping, the keys that are given. slots_not, state_not: what has no value.
        tool: calls in this turn. tools: the names of all calls in this turn, in order; [] for none.
        cited: documents. intent, language: as understood.
        handed_over: whether a person has the conversation now.
    """

    said: Texts = ()
    said_not: Texts = ()
    matches: Patterns = ()
    flow: str | None = None
    started: Texts = ()
    ended: Texts = ()
    slots: dict[str, Any] = Field(default_factory=dict)
    slots_not: Texts = ()
    state: dict[str, Any] = Field(default_factory=dict)
    state_not: Texts = ()
    tool: Annotated[tuple[Called, ...], BeforeValidator(_calls)] = ()
    tools: Texts | None = None
    cited: Texts = ()
    intent: str | None = None
    language: Language | None = None
    handed_over: bool | None = None


class Step(Section):
    """``steps``: one turn.

    Attributes:
        user: what the user says. after: seconds (or "2h") that pass before.
        tools: as the dialogue's, in this turn only.
        expect: what has to be so afterwards.
    """

    user: Said
    after: Seconds | None = None
    tools: Plays = Field(default_factory=dict)
    expect: Expect = Expect()


class Dialogue(Section):
    """``dialogues``: a conversation from its first message on.

    Attributes:
        language: the one that it begins in. now: the moment at which it begins.
        state: what the session holds at its beginning. channel: where the user writes.
        tools: what tools do instead. model: answers of a model, or a file of them; see `holdfast.testing.ScriptedModel`.
    """

    name: str = Field(min_length=1)
    language: Language | None = None
    now: Moment | None = None
    state: dict[str, Any] = Field(default_factory=dict)
    channel: str = ""
    tools: Plays = Field(default_factory=dict)
    model: list[Any] | dict[str, Any] | str | None = None
    steps: tuple[Step, ...] = Field(min_length=1)


class AssistantChanges(Section):
    """``assistant``: parts that a file's dialogues are held with instead of the config's."""

    understanding: tuple[str, ...] | None = None
    policy: tuple[str, ...] | None = None


class DialogueFile(Section):
    """A whole file. ``now``, ``tools`` and ``model`` are for the dialogues that have none of their own."""

    assistant: AssistantChanges = AssistantChanges()
    now: Moment | None = None
    tools: Plays = Field(default_factory=dict)
    model: list[Any] | dict[str, Any] | str | None = None
    dialogues: tuple[Dialogue, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> DialogueFile:
        names = [dialogue.name for dialogue in self.dialogues]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two dialogues are called {twice[0]!r}")
        return self
