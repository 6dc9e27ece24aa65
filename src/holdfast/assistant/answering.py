"""Findings to words: templates for tasks, the documents' own sentences, or a model that writes from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.assistant.contract import Ask, Finding, Found, Retrieval, Say, Told, Understanding
from holdfast.assistant.masking import Masker
from holdfast.assistant.model_answer import ModelAnswer
from holdfast.assistant.position import RETRY, Position, position_of
from holdfast.assistant.speaker import Speaker
from holdfast.assistant.texts import Texts, filled, in_language
from holdfast.config import Language, TaskSection
from holdfast.turns.turn import Turn


class WrittenAnswer:
    """`Answer` from templates and quotes; ``model`` writes from the passages where there is one."""

    def __init__(self, tasks: Sequence[TaskSection], texts: Texts, masker: Masker, model: ModelAnswer | None) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._texts = texts
        self._masker = masker
        self._model = model

    async def answer(
        self, turn: Turn, understood: Understanding, findings: Sequence[Finding], speaker: Speaker
    ) -> None:
        """See `Answer.answer`. The reply's metadata: ``mode`` (task, extractive, model, nothing) and, where the model failed,
        ``fallback`` with the reason."""
        language = understood.language
        speaker.note(mode="task", language=language)
        for finding in findings:
            speaker.paragraph()
            match finding:
                case Say():
                    speaker.say(self._texts.get(finding.text, language, self._shown(finding.values, language)))
                case Ask():
                    self._ask(turn, finding, language, speaker)
                case Told():
                    template = in_language(self._tasks[finding.task].replies[finding.outcome].text, language)
                    speaker.say(filled(template, self._shown(finding.values, language), language))
                case Found(retrieval):
                    await self._found(turn, understood, retrieval, speaker)

    def _shown(self, values: dict[str, Any], language: Language) -> dict[str, Any]:
        """Values as a template may show them: sensitive fields masked, lists as text."""
        shown = self._masker.state(values)
        if isinstance(tasks := shown.get("tasks"), list):
            shown["tasks"] = self._texts.listed([str(task) for task in tasks], language)
        if isinstance(choices := shown.get("choices"), list):
            shown["choices"] = _listed(choices, language)
        return shown

    def _ask(self, turn: Turn, ask: Ask, language: Language, speaker: Speaker) -> None:
        position = position_of(turn.state, self._tasks)
        if position is None or not position.asking:
            return
        lines: list[str] = []
        slot = position.slot
        if ask.because == "return":
            lines.append(self._texts.get("return", language, {"title": position.task.title}))
        if ask.because == "invalid":
            lines.append(
                in_language(slot.invalid, language) if slot and slot.invalid else self._texts.get("invalid", language)
            )
            if slot is None or slot.invalid:
                speaker.say("\n".join(lines))
                return
        lines.append(self._prompt(position, language))
        speaker.say("\n".join(lines))

    def _prompt(self, position: Position, language: Language) -> str:
        if position.asking == RETRY or position.slot is None:
            return self._texts.get("retry", language)
        prompt = filled(in_language(position.slot.prompt, language), {}, language)
        choices = position.choices.get(position.asking, [])
        return f"{prompt}\n{_listed(choices, language)}" if choices else prompt

    async def _found(self, turn: Turn, understood: Understanding, retrieval: Retrieval, speaker: Speaker) -> None:
        language = understood.language
        if not retrieval.relevant or not retrieval.passages:
            speaker.note(mode="nothing")
            speaker.say(self._texts.get("nothing_found", language))
            return
        if self._model is None:
            speaker.note(mode="extractive")
            self._quote(retrieval, language, speaker, self._texts.get("quoting", language))
            return
        speaker.note(mode="model", model=self._model.name)
        failed = await self._model.write(turn, retrieval, language, speaker)
        if failed is not None:
            speaker.note(mode="extractive", fallback=failed.reason)
            reason = self._texts.get(f"reason_{failed.reason}", language)
            notice = "model_broke_off" if failed.spoke else "model_failed"
            if failed.spoke:
                speaker.paragraph()
            self._quote(retrieval, language, speaker, self._texts.get(notice, language, {"reason": reason}))

    def _quote(self, retrieval: Retrieval, language: Language, speaker: Speaker, notice: str) -> None:
        quotes = [
            f"{self._texts.get('quote', language, {'quote': quote.quote})} [{speaker.cite(quote)}]"
            for quote in retrieval.quotes or retrieval.passages[:1]
        ]
        speaker.say("\n\n".join([notice, *quotes]))


def _listed(choices: Sequence[Any], language: Language) -> str:
    labels = [in_language(choice.get("label", choice.get("value")), language) for choice in choices]
    return "\n".join(f"{place}. {label}" for place, label in enumerate(labels, 1))
