"""Plays dialogues, several at once."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from holdfast import Message, Store
from holdfast.assistant.assistant import Assistant
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.frames import load
from holdfast.assistant.flows.yaml_source import Place, Problem, Problems
from holdfast.assistant.handover import handed_over
from holdfast.config import Config
from holdfast.sessions.ids import new_id
from holdfast.testing.dialogues.coverage import Coverage, coverage_of
from holdfast.testing.dialogues.expecting import differences
from holdfast.testing.dialogues.playing import PLAY, Play
from holdfast.testing.dialogues.reading import Script, unknown_names
from holdfast.testing.dialogues.seen import Failure, Result, Seen
from holdfast.testing.dialogues.staging import Stage
from holdfast.testing.scripted_model import ScriptedModel, read_script

Progress = Callable[[int, int], None]
"""Is told how many are done, of how many."""


class Report(msgspec.Struct, frozen=True):
    """What came of all dialogues, in the order of their files."""

    results: tuple[Result, ...]
    coverage: Coverage
    seconds: float

    @property
    def failed(self) -> tuple[Result, ...]:
        """Those that were not as expected."""
        return tuple(result for result in self.results if not result.passed)


async def run_dialogues(
    scripts: Sequence[Script],
    config: Config,
    store: Store,
    *,
    at_once: int = 8,
    reading: Progress | None = None,
    playing: Progress | None = None,
) -> Report:
    """Plays dialogues against the assistant of a config, each in a session of its own, which is deleted afterwards.

    It asks no model but the dialogues' own scripts. ``at_once``: how many are played at the same time. ``reading`` and ``playing``
    are told how far the documents and the dialogues are. Raises `Problems` for flows, slots and tools that the assistant has
    not, `ConfigError` and `KnowledgeError`.
    """
    started = time.perf_counter()
    async with AsyncExitStack() as closing:
        stage = Stage(config, store, closing)
        await stage.open(reading)
        assistants = [
            await stage.assistant(script.file.assistant, with_model=_model(script) is not None) for script in scripts
        ]
        problems: list[Problem] = []
        for script, assistant in zip(scripts, assistants, strict=True):
            tools = [spec.name for spec in assistant.parts.tools.specs()]
            problems += unknown_names(script, assistant.parts.flows, tools)
        if problems:
            raise Problems(sorted(set(problems)))
        places = asyncio.Semaphore(at_once)
        done = 0

        async def one(script: Script, assistant: Assistant) -> Result:
            nonlocal done
            async with places:
                result = await _played(script, assistant, store)
            done += 1
            if playing is not None:
                playing(done, len(scripts))
            return result

        results = await asyncio.gather(*(one(*both) for both in zip(scripts, assistants, strict=True)))
        flows = assistants[0].parts.flows if assistants else FlowSet()
        return Report(tuple(results), coverage_of(flows, stage.reached), round(time.perf_counter() - started, 3))


async def _played(script: Script, assistant: Assistant, store: Store) -> Result:
    """One dialogue, up to its end or the first turn that is not as expected."""
    started = time.perf_counter()
    dialogue = script.dialogue
    session = f"dialogue-{new_id()}"
    play = Play(dialogue.now or script.file.now, model=_scripted(script))
    PLAY.set(play)  # of this task only: `asyncio.gather` makes one for each dialogue
    said: list[tuple[str, str]] = []
    failures: list[Failure] = []
    try:
        state = {**dialogue.state, **({"language": dialogue.language} if dialogue.language else {})}
        if state:
            await store.set(session, state)
        for number, step in enumerate(dialogue.steps):
            play.passed += timedelta(seconds=step.after or 0.0)
            play.begin({**script.tools, **step.tools})
            said.append(("user", step.user))
            try:
                seen = await _turn(session, number, script, play, assistant, store)
            except Exception as error:  # noqa: BLE001  # whatever a part that is not ours raises, the others go on
                came = f"the turn failed: {type(error).__name__}: {error}"
                failures.append(Failure(script.line("steps", number), "", "a reply", came))
                break
            said.append(("assistant", seen.reply))
            line = _Lines(script, number)
            failures = differences(step.expect, seen, line)
            if failures:
                break
    finally:
        await store.delete(session)
    seconds = round(time.perf_counter() - started, 4)
    return Result(script.source.file, script.line(), dialogue.name, seconds, tuple(said), tuple(failures))


class _Lines:
    """The lines of a step's expectations."""

    def __init__(self, script: Script, step: int) -> None:
        self._script = script
        self._step = step

    def __call__(self, place: Place) -> int:
        return self._script.line("steps", self._step, "expect", *place)


async def _turn(session: str, number: int, script: Script, play: Play, assistant: Assistant, store: Store) -> Seen:
    step = script.dialogue.steps[number]
    channel = {"channel": script.dialogue.channel} if script.dialogue.channel else {}
    programs = assistant.parts.flows.programs
    before = [frame.name for frame in load(await store.get(session), programs) if not frame.done]
    outcome = await store.run_turn(
        session, assistant, input=Message.user(step.user, **channel), turn_id=_turn_id(script, number)
    )
    state = await store.get(session)
    after = [frame.name for frame in load(state, programs) if not frame.done]
    started = play.started() | {flow for flow, _ in play.steps if flow not in before}
    understood = play.understood
    return Seen(
        reply=outcome.reply,
        flow=after[-1] if after else None,
        started=tuple(sorted(started)),
        ended=tuple(sorted(flow for flow in {*before, *started} if flow not in after)),
        state=state,
        calls=tuple(play.calls),
        cited=tuple(citation.document for message in outcome.messages for citation in message.citations),
        intent=understood.intent if understood is not None else "",
        language=understood.language if understood is not None else "",
        handed_over=handed_over(state),  # type: ignore[arg-type]
    )


def _turn_id(script: Script, number: int) -> str:
    """The same in every run: of a response's variations the same one is said."""
    return hashlib.blake2b(f"{script.dialogue.name}\0{number}".encode(), digest_size=16).hexdigest()


def _scripted(script: Script) -> ScriptedModel | None:
    answers = _model(script)
    if isinstance(answers, str):
        return read_script(Path(script.source.file).parent / answers)
    return None if answers is None else ScriptedModel(answers)


def _model(script: Script) -> list[Any] | dict[str, Any] | str | None:
    return script.dialogue.model if script.dialogue.model is not None else script.file.model
