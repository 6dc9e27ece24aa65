"""Understanding by intents that were learned from example sentences: an intent that is named like a flow starts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from holdfast.assistant.contract import Understanding
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.off_topic import NAME, OFF_TOPIC
from holdfast.errors import ConfigError
from holdfast.turns.turn import Turn
from holdfast.understanding import OUT_OF_SCOPE, IntentModel
from holdfast.understanding.intents.rows import rows_of

_WHOLE: Final = frozenset({"affirm", "deny", "cancel", "retry", "greet", "thanks"})
"""Signals that are the whole of a message."""
_LONGEST: Final = 1_000
"""Characters of a message that are looked at."""


class IntentUnderstanding:
    """`Understand` by an `IntentModel`. What a trigger has found already stays; the intent is told in any case."""

    def __init__(self, model: IntentModel, flows: FlowSet) -> None:
        self.model = model
        self._startable = {program.name for program in flows.startable}

    async def understand(self, turn: Turn, before: Understanding | None) -> Understanding:
        """See `Understand.understand`. Raises `ConfigError` where no part stands before it."""
        if before is None:
            raise ConfigError('assistant.understanding: "intents" goes on from "rules", which has to stand before it')
        if not before.text or before.signals & _WHOLE:
            return before
        predicted = self.model.predict([before.text[:_LONGEST]])[0]
        intent = "" if predicted.intent == NAME else predicted.intent
        flow = before.flow or (intent if intent in self._startable else "")
        return msgspec.structs.replace(
            before, flow=flow, intent=intent, confidence=predicted.score, ranked=predicted.ranked
        )


def learned(flows: FlowSet, files: Sequence[Path], cache: Path | None) -> IntentModel:
    """The model of the flows' examples and of files (CSV: text, category).

    A category that is no flow's name is an intent all the same: it keeps its sentences from starting a flow. Where there are no
    ``oos`` sentences, `OFF_TOPIC` is such a category: of a dozen examples each, two intents tell nothing of what is neither.

    Raises `ConfigError` where there are no examples, `ExamplesUnusable` for a file that cannot be used, `MissingExtra`.
    """
    examples = [*_of_flows(flows)]
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConfigError(f"assistant.intents: {file} cannot be read: {error}") from None
        examples += ((row.text, row.category) for row in rows_of(content, str(file)))
    if not examples:
        raise ConfigError(
            'assistant.understanding names "intents", and there is nothing to learn them from: give flows `examples`, or '
            "set assistant.intents to a CSV file with the columns text and category"
        )
    if all(category != OUT_OF_SCOPE for _, category in examples):
        examples += ((sentence, NAME) for sentence in OFF_TOPIC)
    return IntentModel.train(examples, cache=cache)


def _of_flows(flows: FlowSet) -> Iterator[tuple[str, str]]:
    for program in flows.startable:
        for sentences in program.flow.examples.values():
            for sentence in sentences:
                yield sentence, program.name
