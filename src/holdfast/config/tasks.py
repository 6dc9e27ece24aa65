"""``[[tasks]]``: dialogues that collect values for a tool."""

from __future__ import annotations

from pydantic import Field, model_validator

from holdfast.config.fields import Localized, Phrases, Regex, Seconds, Section, SlotType, nearest


class SlotSection(Section):
    """``[[tasks.slots]]``: a value that a task needs.

    Attributes:
        name: the state field that holds it, and the tool's argument.
        type: what is looked for in the user's words; ``pattern`` needs ``pattern``, ``text`` takes all of it.
        required: asked for before the tool is called; otherwise only where the tool asks for it.
        remember: kept for the next task that has a slot of this name.
        called: what users call it ("phone"), for "the phone number is wrong".
        prompt: the question. invalid: said where the answer does not fit; the prompt if not given.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    type: SlotType = "text"
    pattern: Regex = ""
    required: bool = True
    remember: bool = False
    called: Phrases = Field(default_factory=dict)
    prompt: Localized
    invalid: Localized = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_pattern(self) -> SlotSection:
        if (self.type == "pattern") != bool(self.pattern):
            raise ValueError(f'slot {self.name!r}: `pattern` belongs to type = "pattern", and is needed there')
        return self


class ReplySection(Section):
    """``[tasks.replies.OUTCOME]``: what is said after the tool returned ``{"outcome": "OUTCOME", ...}``.

    Attributes:
        text: a template over the slots and the tool's result: ``{order_number}``, ``{order.status}``, ``{choices}``.
        ask: the slot to ask for (again) now; without it the task is done.
    """

    text: Localized
    ask: str = ""


class TaskSection(Section):
    """``[[tasks]]``: values are asked for, a tool is called with them, its outcome is told.

    Attributes:
        title: how the assistant calls the task. triggers: what users say to start it; ``*`` stands for a few characters.
        tool: ``package.module:function``, called with the slots by name; returns a mapping with an ``outcome``, and perhaps
            ``choices`` (by slot, ``[{"value": ..., "label": ...}]``) and ``slots`` (values that it found out).
        timeout: seconds for the tool. max_tries: wrong values in a row until the task is given up.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    title: Localized
    triggers: Phrases
    slots: tuple[SlotSection, ...] = Field(min_length=1)
    tool: str
    timeout: Seconds = 10.0
    max_tries: int = Field(default=3, ge=1)
    replies: dict[str, ReplySection] = Field(min_length=1)

    @model_validator(mode="after")
    def _joined(self) -> TaskSection:
        names = [slot.name for slot in self.slots]
        if len(set(names)) < len(names):
            raise ValueError(f"task {self.name!r} has two slots of one name")
        for outcome, reply in self.replies.items():
            if reply.ask and reply.ask not in names:
                raise ValueError(
                    f"replies.{outcome}.ask names no slot of task {self.name!r}{nearest(reply.ask, names)}"
                )
        return self

    def slot(self, name: str) -> SlotSection | None:
        """The slot of this name."""
        return next((slot for slot in self.slots if slot.name == name), None)
