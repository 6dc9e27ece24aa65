"""What flows say: their questions and responses, in the turn's language and channel, with values as people write them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from holdfast.assistant.context import CHANNEL, Context, listed
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.frames import AGREE, CONFIRM, RETRY, Frame
from holdfast.assistant.flows.program import Program
from holdfast.assistant.flows.schema import Confirm, FlowSlot, Response
from holdfast.assistant.texts import filled, in_language
from holdfast.config import Language
from holdfast.config.fields import Localized

Because = Literal["", "invalid", "return"]
"""Why a question is asked again: after a wrong answer, or after something else."""

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?")
_SHOWN: Final = 8
"""Values of a choice that are listed below its question."""


class Wording:
    """The words of one conversation's flows in one turn."""

    def __init__(self, context: Context, flows: FlowSet) -> None:
        self._context = context
        self._flows = flows

    def names(self, frame: Frame) -> dict[str, Any]:
        """What expressions and templates may use: ``now`` and ``today``, slots, what ``set`` made, and what tools returned: by the
        names that it was saved under, the last one as ``result``, and the keys of mappings by themselves, those of later results
        before those of earlier ones."""
        flow, state = self._program(frame).flow, self._context.turn.state
        moment = self._context.parts.now().isoformat(timespec="seconds")
        names: dict[str, Any] = {"now": moment, "today": moment[:10]}
        names.update((name, state[name]) for name in flow.slots if name in state)
        for name, value in frame.results.items():
            if isinstance(value, Mapping):
                names.update({key: item for key, item in value.items() if isinstance(key, str)})
            names["result"] = value
            if not name.startswith("="):
                names[name] = value
        return {**names, **frame.values}

    def say(self, say: str | Response, frame: Frame, salt: str = "", names: Mapping[str, Any] | None = None) -> None:
        """Says a response, by name or as texts, as a paragraph of its own. ``salt``: what its variation depends on."""
        if text := self.text(say, frame, salt, names):
            self._context.speaker.paragraph()
            self._context.speaker.say(text)

    def text(self, say: str | Response, frame: Frame, salt: str = "", names: Mapping[str, Any] | None = None) -> str:
        """A response; of several variations one, the same on every attempt of the turn."""
        response = self._flows.responses[say] if isinstance(say, str) else say
        turn, language = self._context.turn, self._context.language
        texts = response.of(language, str(turn.state.get(CHANNEL, "")))
        if not texts:
            return ""
        digest = hashlib.blake2b(f"{turn.id}\0{frame.name}\0{salt}".encode(), digest_size=4).digest()
        text = texts[int.from_bytes(digest) % len(texts)]
        return filled(text, self._shown(self.names(frame) if names is None else names), language)

    def ask(self, frame: Frame, title: Localized, because: Because = "", why: str = "") -> None:
        """Asks a flow's open question (again). ``title``: what the user is brought back to. ``why``: what is wrong with the answer,
        where something is to be said of it."""
        texts, language, flow = self._context.parts.texts, self._context.language, self._program(frame).flow
        slot = flow.slots.get(frame.asking)
        lines: list[str] = []
        if because == "return":
            lines.append(texts.get("return", language, {"title": title}))
        invalid = self.text(slot.invalid, frame) if slot is not None else ""
        if because == "invalid":
            lines.append(why or invalid or texts.get("invalid", language))
        if because != "invalid" or why or not invalid:
            lines.append(self._question(frame, slot))
        self._context.speaker.paragraph()
        self._context.speaker.say("\n".join(line for line in lines if line))

    def _question(self, frame: Frame, slot: FlowSlot | None) -> str:
        program, language = self._program(frame), self._context.language
        if frame.asking == CONFIRM:
            step = program.instructions[program.position(frame.at) or 0].step
            return self.text(step.confirm, frame) if isinstance(step, Confirm) else ""
        if frame.asking == AGREE:
            return self._agreement(frame)
        if frame.asking == RETRY or slot is None:
            return self._context.parts.texts.get("retry", language)
        if slot.type == "datetime" and (day := frame.days.get(frame.asking)):
            return self._context.parts.texts.get("which_time", language, {"day": day})
        question = self.text(slot.ask, frame)
        choices = frame.choices.get(frame.asking)
        if not choices and len(slot.values) <= _SHOWN and "{" not in question:
            choices = [{"value": value, "label": _label(slot, value, language)} for value in slot.values]
        return f"{question}\n{listed(choices, language)}" if choices else question

    def _agreement(self, frame: Frame) -> str:
        """The question before a tool that asks before doing, where the flow itself has not asked."""
        language, state = self._context.language, self._context.turn.state
        flow = self._program(frame).flow
        shown = self._shown({name: state[name] for name in flow.slots if name in state})
        lines = [
            f"\n- {next(iter(flow.slots[name].called.get(language, ())), name.replace('_', ' '))}: {value}"
            for name, value in shown.items()
        ]
        return self._context.parts.texts.get("agree", language, {"title": flow.title, "details": "".join(lines)})

    def _shown(self, names: Mapping[str, Any]) -> dict[str, Any]:
        language = self._context.language
        choices = {name: slot for name, slot in self._flows.slots() if slot.type == "choice"}
        return self._context.shown(
            {
                name: _label(choices[name], value, language) if name in choices else readable(value, language)
                for name, value in names.items()
            }
        )

    def _program(self, frame: Frame) -> Program:
        return self._flows.programs[frame.name]


def readable(value: Any, language: Language) -> Any:
    """A value as people write it: a moment as date and time, yes or no, an amount with its currency."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return f"{value[:10]} {value[11:16]}"
    if isinstance(value, bool):
        return {"zh": "是" if value else "否", "en": "yes" if value else "no"}[language]
    if isinstance(value, Mapping) and set(value) == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    return value


def _label(slot: FlowSlot, value: Any, language: Language) -> Any:
    """What a choice's value is called: the first of its words in the language."""
    words = in_language(slot.values.get(value, {}), language) if isinstance(value, str) else ()
    return words[0] if isinstance(words, list | tuple) and words else value
