"""What a flow file may say. ``reading`` makes these from YAML; ``from_tasks`` from ``[[tasks]]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from holdfast.assistant.flows.expressions import Expression
from holdfast.config.fields import Language, Localized, Phrases, Regex, Seconds, Section

FlowSlotType = Literal[
    "phone", "email", "number", "yes_no", "pattern", "text", "choice", "date", "time", "datetime", "money", "id_card"
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


def _expression(value: Any) -> Expression:
    if isinstance(value, Expression):
        return value
    if isinstance(value, bool | int | float):
        return Expression(repr(value))
    if not isinstance(value, str):
        raise ValueError("has to be an expression, as text")
    return Expression(value)


Expr = Annotated[Expression, PlainValidator(_expression)]
"""An `Expression`, from its text."""

Variations = tuple[str, ...]


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class _Texts(Section):
    """``{zh: ..., en: [..., ...]}``, a template or several in each language."""

    zh: Annotated[Variations, BeforeValidator(_several)] = ()
    en: Annotated[Variations, BeforeValidator(_several)] = ()


class Response(_Texts):
    """Templates by language, one or several variations each, and others by channel.

    Attributes:
        channels: by the name of a channel (``[channels.NAME]``), the texts that are said there instead.
    """

    channels: dict[str, _Texts] = Field(default_factory=dict)

    def of(self, language: Language, channel: str = "") -> Variations:
        """The variations for a language and channel; empty where there are none."""
        texts = self.channels.get(channel)
        here: Variations = getattr(texts, language) if texts is not None else ()
        always: Variations = getattr(self, language)
        return here or always


class FlowSlot(Section):
    """``slots.NAME``: a value that a flow needs. The state field of its name holds it.

    Attributes:
        type: what is looked for in the user's words: ``pattern`` needs ``pattern``, ``choice`` needs ``values``, ``text`` takes
            all of it. ``date`` ("2026-12-04"), ``time`` ("15:30") and ``datetime`` ("2026-12-04T15:30:00+08:00") are kept as
            text, ``money`` as ``{amount: ..., currency: CNY}``.
        values: of a ``choice``, by the value that is kept: what users call it, in each language; the first one is shown.
        ask: the question. invalid: said where the answer does not fit; "that does not look right" and the question if not given.
        valid: an expression over ``value`` (and ``today``, ``now``, as text like dates) that has to hold.
        check: ``package.module:function``, given the value; False, or raising ValueError, makes it wrong.
        remember: kept for the next flow that has a slot of this name.
        depends: slots whose correction makes this one be forgotten.
        called: what users call it ("phone"), for "the phone number is wrong".
        description: for a model.
    """

    type: FlowSlotType = "text"
    pattern: Regex = ""
    values: dict[str, Phrases] = Field(default_factory=dict)
    ask: Response
    invalid: Response = Response()
    valid: Expr | None = None
    check: str = ""
    remember: bool = False
    depends: tuple[str, ...] = ()
    called: Phrases = Field(default_factory=dict)
    description: str = ""

    @model_validator(mode="after")
    def _fits(self) -> FlowSlot:
        if (self.type == "pattern") != bool(self.pattern):
            raise ValueError("`pattern` belongs to `type: pattern`, and is needed there")
        if (self.type == "choice") != bool(self.values):
            raise ValueError("`values` belongs to `type: choice`, and is needed there")
        if self.valid is not None and (strange := self.valid.names - {"value", "today", "now"}):
            raise ValueError(f"`valid` may look at value, today and now, not at {', '.join(sorted(strange))}")
        return self


class _Step(Section):
    """What all steps have: ``id`` names it for ``go``."""

    id: Name | Literal[""] = ""


class Ask(_Step):
    """``ask: SLOT``: asks for a slot unless it has a value.

    Attributes:
        say: instead of the slot's question: a response's name, or texts. again: the value it has was wrong: forgets it first, and
            gives the flow up after ``max_tries`` such.
        choices: an expression for what it may be: a list of ``{value: ..., label: ...}``, shown as ``{choices}`` or below the
            question; the user may say "the second", "the other one", or words of the label.
    """

    ask: str
    say: str | Response = ""
    again: bool = False
    choices: Expr | None = None


class Call(_Step):
    """``call: TOOL``: calls a tool, as a journaled step.

    Attributes:
        with_: arguments by name, as expressions; all slots that the tool has a parameter for, where it is not given.
        save: a name under which expressions find the result, beside ``result`` for the last one; the keys of a mapping are found
            by themselves too.
        outcomes: what the result's key ``outcome`` may be; any other result counts as a failure.
        failed: steps where the tool fails; without them the user is asked whether to try again.
        slots: whether values under the result's key ``slots`` are taken over into the flow's slots, and lists under ``choices``
            offered for them.
    """

    call: str
    with_: dict[str, Expr] | None = Field(default=None, alias="with")
    save: Name | Literal[""] = ""
    outcomes: tuple[str, ...] = ()
    failed: tuple[Step, ...] | None = None
    slots: bool = True


class Say(_Step):
    """``say: RESPONSE``, by name or as texts."""

    say: str | Response


class Confirm(_Step):
    """``confirm: RESPONSE``: asks yes or no. Without ``no`` the flow is cancelled then."""

    confirm: str | Response
    yes: tuple[Step, ...] = ()
    no: tuple[Step, ...] | None = None


class If(_Step):
    """``if: EXPRESSION``."""

    if_: Expr = Field(alias="if")
    then: tuple[Step, ...] = ()
    else_: tuple[Step, ...] = Field(default=(), alias="else")


class Switch(_Step):
    """``switch: EXPRESSION``, compared as text with each case."""

    switch: Expr
    cases: dict[str, tuple[Step, ...]] = Field(min_length=1)
    default: tuple[Step, ...] = ()


class Go(_Step):
    """``go: ID``: goes on at another step of this flow."""

    go: str


class Set(_Step):
    """``set: {NAME: EXPRESSION}``: sets slots, or values of the flow's own."""

    set: dict[Name, Expr] = Field(min_length=1)


class Forget(_Step):
    """``forget: [SLOT, ...]``."""

    forget: tuple[str, ...] = Field(min_length=1)


class Run(_Step):
    """``run: FLOW``: runs another flow, then goes on here."""

    run: str


class Link(_Step):
    """``link: FLOW``: ends this flow and starts another."""

    link: str


class Answer(_Step):
    """``answer: EXPRESSION``: answers a question from the documents; ``collections``: those to ask, all where none is named."""

    answer: Expr
    collections: tuple[str, ...] = ()


class HandOverStep(_Step):
    """``hand_over: REASON``: gives the conversation to a person and ends the flow. ``say`` comes before."""

    hand_over: str


class End(_Step):
    """``end: true``."""

    end: Literal[True]


_KINDS: Final = {
    **{
        name: name
        for name in ("ask", "call", "confirm", "if", "switch", "go", "set", "forget", "run", "link", "answer")
    },
    "hand_over": "hand_over",
    "end": "end",
    "say": "say",  # ``say`` last: ``ask`` has it too
}


def _kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next((kind for kind in _KINDS if kind in value), None)
    return _BY_TYPE.get(type(value))


Step = Annotated[
    Annotated[Ask, Tag("ask")]
    | Annotated[Call, Tag("call")]
    | Annotated[Say, Tag("say")]
    | Annotated[Confirm, Tag("confirm")]
    | Annotated[If, Tag("if")]
    | Annotated[Switch, Tag("switch")]
    | Annotated[Go, Tag("go")]
    | Annotated[Set, Tag("set")]
    | Annotated[Forget, Tag("forget")]
    | Annotated[Run, Tag("run")]
    | Annotated[Link, Tag("link")]
    | Annotated[Answer, Tag("answer")]
    | Annotated[HandOverStep, Tag("hand_over")]
    | Annotated[End, Tag("end")],
    Discriminator(
        _kind,
        custom_error_type="step",
        custom_error_message="is no step; a step has one of: " + ", ".join(_KINDS),
    ),
]
_BY_TYPE: Final[Mapping[type, str]] = {
    Ask: "ask",
    Call: "call",
    Say: "say",
    Confirm: "confirm",
    If: "if",
    Switch: "switch",
    Go: "go",
    Set: "set",
    Forget: "forget",
    Run: "run",
    Link: "link",
    Answer: "answer",
    HandOverStep: "hand_over",
    End: "end",
}
STEP_KINDS: Final = tuple(_KINDS)


class Flow(Section):
    """``flows.NAME``: a task dialogue.

    Attributes:
        title: how the assistant calls it. description: what it does, for a model.
        triggers: what users say to start it; ``*`` stands for a few characters. examples: sentences from which its intent is
            learned.
        startable: False where only other flows start it.
        max_tries: wrong values in a row until it is given up.
        timeout: seconds without a message after which it is dropped.
        reopen: whether a correction right after its end runs it again from there; where not given, only while it has called no
            tool that asks before doing.
    """

    title: Localized
    description: str = ""
    triggers: Phrases = Field(default_factory=dict)
    examples: Phrases = Field(default_factory=dict)
    startable: bool = True
    max_tries: int = Field(default=3, ge=1)
    timeout: Seconds = 86_400.0
    reopen: bool | None = None
    slots: dict[Name, FlowSlot] = Field(default_factory=dict)
    steps: tuple[Step, ...] = Field(min_length=1)


class FlowFile(Section):
    """A whole file: flows and responses, both by name. Files of one assistant share their names."""

    flows: dict[Name, Flow] = Field(default_factory=dict)
    responses: dict[Name, Response] = Field(default_factory=dict)

    @field_validator("flows", "responses", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any, info: ValidationInfo) -> Any:
        return {} if value is None else value


def steps_within(step: Any) -> Sequence[tuple[tuple[str, ...], Sequence[Any]]]:
    """The steps inside a step, with the keys that lead to them."""
    match step:
        case Call(failed=failed) if failed is not None:
            return [(("failed",), failed)]
        case Confirm(yes=yes, no=no):
            return [(("yes",), yes), (("no",), no or ())]
        case If(then=then, else_=else_):
            return [(("then",), then), (("else",), else_)]
        case Switch(cases=cases, default=default):
            return [*((("cases", name), steps) for name, steps in cases.items()), (("default",), default)]
    return []


for _model in (Call, Confirm, If, Switch, Flow, FlowFile):
    _model.model_rebuild()
