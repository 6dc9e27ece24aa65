"""One turn of a flow: its steps one after the other, until it has to wait for the user or ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from holdfast.assistant.context import Context
from holdfast.assistant.contract import Retrieval
from holdfast.assistant.flows.calling import Calls
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.frames import (
    AGREE,
    CONFIRM,
    DEEPEST,
    RETRY,
    Frame,
    forget,
    options_in,
    save,
)
from holdfast.assistant.flows.program import END, Instruction, Program
from holdfast.assistant.flows.schema import (
    Answer,
    Ask,
    Call,
    Confirm,
    Forget,
    HandOverStep,
    If,
    Link,
    Run,
    Say,
    Set,
    Switch,
)
from holdfast.assistant.flows.wording import Because, Wording
from holdfast.assistant.handover import hand_over
from holdfast.config.fields import Localized

_log: Final = logging.getLogger(__name__)

MOST_STEPS: Final = 200
"""Steps of flows in one turn; a flow that takes more is taken for one that never ends."""

ENDED: Final = "flow_ended"
"""In the metadata of a reply: the flow that ended with it, and cannot be corrected any more."""

Watch = Callable[[Program, Instruction], None]
"""Is told of every step that is run; coverage is made of it."""

_WAIT: Final = -2
_GONE: Final = -3
"""The frame is no longer the last one, or its flow is over otherwise than at its end."""


class Running:
    """The flows of one conversation in one turn. ``frames``: where it is; saved by `close`."""

    def __init__(self, context: Context, flows: FlowSet, frames: list[Frame], watch: Watch | None = None) -> None:
        self.context = context
        self.frames = frames
        self._flows = flows
        self._watch = watch
        self._steps = 0
        self._words = Wording(context, flows)
        self._calls = Calls(context, self._words)

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    @property
    def program(self) -> Program:
        return self._flows.programs[self.frame.name]

    def program_of(self, frame: Frame) -> Program:
        """The flow of a frame."""
        return self._flows.programs[frame.name]

    def close(self) -> None:
        """Writes the position into the session's state."""
        save(self.context.turn.state, self.frames)

    # --- starting and leaving ---

    def start(self, name: str) -> None:
        """Puts a flow on top, and forgets what an earlier run of it left. Where it runs already, it starts anew."""
        program = self._flows.programs[name]
        state = self.context.turn.state
        for frame in [frame for frame in self.frames if frame.name == name and not frame.done]:
            self._drop_all(self.task_of(frame))
        frames = [frame for frame in self.frames if not frame.done][-(DEEPEST - 1) :]
        own = {slot for slot, one in program.flow.slots.items() if not one.remember}
        masker = self.context.parts.masker
        shared = {slot for slot in own & self._slots_of(frames) if not masker.covers(slot)}
        covered = {slot: state[slot] for slot in shared if slot in state}
        forget(state, own)
        first = program.instructions[0].id
        self.frames[:] = [*frames, Frame(name, first, seen=self._now(), covered=covered)]
        self.context.trace.note("flow", flow=name, step="start", line=0)

    def drop(self, frame: Frame, *, slots: bool = True) -> None:
        """Takes a flow off the stack, and forgets what it does not remember, but for what the flow that runs it has too. Flows
        below get back what their slots had."""
        if frame in self.frames:
            self.frames.remove(frame)
        state = self.context.turn.state
        if slots:
            kept = self._slots_of(self.frames)
            if not frame.called:
                # never kept elsewhere, so not covered either
                kept = {slot for slot in kept if self.context.parts.masker.covers(slot)}
            flow = self.program_of(frame).flow
            forget(state, (name for name, slot in flow.slots.items() if not slot.remember and name not in kept))
        state.update(frame.covered)

    def cancel(self) -> None:
        """Gives the running flow up, on the user's word; with it the one that runs it."""
        task = self.task_of(self.frame)
        self.context.say("cancelled", title=self._title)
        self._drop_all(task)
        self.resume()

    def give_up(self) -> None:
        """Gives the running flow up after too many wrong answers; with it the one that runs it."""
        task = self.task_of(self.frame)
        self.context.say("gave_up", title=self._title)
        forget(self.context.turn.state, self.program.flow.slots)
        self._drop_all(task)
        self.resume()

    def task_of(self, frame: Frame) -> list[Frame]:
        """A flow with those that run it, and those that it runs: what the user takes for one."""
        first = last = self.frames.index(frame)
        while self.frames[first].called and first:
            first -= 1
        while last + 1 < len(self.frames) and self.frames[last + 1].called:
            last += 1
        return self.frames[first : last + 1]

    @property
    def _title(self) -> Localized:
        """What the user takes the running flow for: the title of the one that runs it."""
        return self.program_of(self.task_of(self.frame)[0]).flow.title

    def _drop_all(self, frames: Sequence[Frame]) -> None:
        for frame in reversed(frames):
            self.drop(frame)

    def _slots_of(self, frames: Sequence[Frame]) -> set[str]:
        return {name for frame in frames for name in self.program_of(frame).flow.slots}

    def resume(self) -> None:
        """Back to the flow below, whose question is asked again; what the user has told meanwhile is asked for no more."""
        if self.frames and not self.frame.done and self.frame.asking:
            if self.frame.asking in self.context.turn.state and self.frame.asking in self.program.flow.slots:
                self.frame.asking = ""
            else:
                self.ask("return")

    # --- slots ---

    def fill(self, values: Mapping[str, Any]) -> bool:
        """Sets slots of the running flow, and moves its position to where the change counts; was every value accepted?

        What depended on a slot that changed is forgotten. A value that is not valid is not set, and asked for again.
        """
        frame, program, state = self.frame, self.program, self.context.turn.state
        changed: list[str] = []
        for name, value in values.items():
            if (wrong := self._wrong(name, value)) is not None:
                self._refuse(name, wrong)
                return False
            if state.get(name) != value:
                if name in state:
                    changed.append(name)
                state[name] = value
                self._disagree([name])
        for name, slot in program.flow.slots.items():
            if name not in values and any(other in changed for other in slot.depends):
                state.pop(name, None)
                self._disagree([name])
                frame.choices.pop(name, None)
        if changed or frame.done:
            self._back_to(sorted(changed) or list(values))
        if frame.asking in program.flow.slots and frame.asking not in state:
            self._back_to([frame.asking])  # another slot was answered: this one is still to be asked for
        frame.asking = ""
        return True

    def ask_again(self, name: str) -> None:
        """Forgets a slot and what depends on it, and asks for it."""
        frame, flow = self.frame, self.program.flow
        after = [other for other, slot in flow.slots.items() if name in slot.depends]
        forget(self.context.turn.state, [name, *after])
        frame.days.pop(name, None)
        for other in after:
            frame.choices.pop(other, None)
        self._back_to([name])
        frame.asking = name
        self.ask()

    def wrong_answer(self, name: str) -> None:
        """Counts words that look like a wrong value for a slot, and asks anew or gives up."""
        self._refuse(name, "")

    def _refuse(self, name: str, why: str) -> None:
        frame = self.frame
        if self._once_more(frame, name):
            self.give_up()
            return
        frame.asking = name
        self.ask("invalid", why)

    def _once_more(self, frame: Frame, name: str) -> bool:
        """Counts a wrong value for a slot: is it one too many? Those for another slot before it do not count."""
        frame.tries = frame.tries + 1 if frame.trying == name else 1
        frame.trying = name
        return frame.tries >= self.program_of(frame).flow.max_tries

    def _wrong(self, name: str, value: Any) -> str | None:
        """Why a slot cannot have a value ("" if nothing is to be said of it); None where it can."""
        slot = self.program.flow.slots[name]
        if slot.valid is not None:
            moment = self.context.parts.now().isoformat(timespec="seconds")
            if not slot.valid.value({"value": value, "now": moment, "today": moment[:10]}):
                return ""
        check = self._flows.checks.get(slot.check)
        if check is not None:
            try:
                if check(value) is False:
                    return ""
            except ValueError as error:
                return str(error)
            except Exception:  # noqa: BLE001 -- a user's function: whatever it raises, the conversation goes on
                _log.exception("check %s of flow %s failed: the value counts as wrong", slot.check, self.frame.name)
                return ""
        return None

    def _disagree(self, slots: Collection[str]) -> None:
        """A yes was to the values that were there: where one of these slots changes, it counts no more."""
        for frame in self.frames:
            if not self.program_of(frame).flow.slots.keys().isdisjoint(slots):
                frame.agreed = False

    def _back_to(self, slots: Sequence[str]) -> None:
        """Moves the position back to the first step that uses one of the slots; never forward, unless the flow is done."""
        frame, program = self.frame, self.program
        programs = self._flows.programs
        first = program.first_use(slots, lambda name: programs[name].flow.slots if name in programs else ())
        now_at = program.position(frame.at)
        if first != END and (frame.done or now_at is None or first < now_at):
            frame.at = program.instructions[first].id
        frame.done = False
        frame.agreed = False

    def ask(self, because: Because = "", why: str = "") -> None:
        """Asks the running flow's open question (again)."""
        self._words.ask(self.frame, self._title, because, why)

    # --- running ---

    async def proceed(self) -> None:
        """Runs the flow on top, and those below it as it ends, until one of them waits for the user."""
        while self.frames and not self.frame.done:
            frame = self.frame
            frame.asking = ""
            position = self.program.position(frame.at) if frame.at else END
            if position is None:  # the flow was changed since: what is known is kept, and asked for no more
                position, frame.agreed = 0, False
            while position >= 0:
                self._steps += 1
                if self._steps > MOST_STEPS:
                    self._runaway()
                    return
                instruction = self.program.instructions[position]
                frame.at = instruction.id
                if self._watch is not None:
                    self._watch(self.program, instruction)
                self.context.trace.note("flow", flow=frame.name, step=instruction.id, line=instruction.line)
                position = await self._run(frame, instruction)
            if position == _WAIT:
                return
            if position == END:
                self._ended(frame)
                if not self.frames or self.frame.done or self.frame.asking:
                    return

    def _ended(self, frame: Frame) -> None:
        flow = self.program_of(frame).flow
        frame.at, frame.asking, frame.trying, frame.tries = "", "", "", 0
        below = self.frames[:-1]
        reopen = flow.reopen if flow.reopen is not None else not frame.acted
        if below or not reopen:
            if not below:
                self.context.speaker.note(**{ENDED: frame.name})
            self.drop(frame)
            if frame.called:
                slots = self.program.flow.slots
                self.frame.choices.update({name: some for name, some in frame.choices.items() if name in slots})
            if below:
                self.resume()
        else:
            frame.done = True

    def _runaway(self) -> None:
        frame = self.frame
        _log.error("flow %s does not end: %d steps in one turn; it was given up", frame.name, MOST_STEPS)
        self.context.trace.note("flow_failed", flow=frame.name, step=frame.at, why="more steps than a turn may have")
        self.context.say("flow_failed", title=self._title)
        self.frames.clear()

    async def _run(self, frame: Frame, instruction: Instruction) -> int:
        """Runs one step; returns where it goes on, or that it waits."""
        step = instruction.step
        match step:
            case Ask():
                return self._run_ask(frame, instruction, step)
            case Call():
                return await self._run_call(frame, instruction, step)
            case Say(say=say):
                self._words.say(say, frame, instruction.id)
            case Confirm():
                frame.asking = CONFIRM
                self._words.say(step.confirm, frame, instruction.id)
                return _WAIT
            case If(if_=condition):
                return instruction.ways["then" if condition.value(self._words.names(frame)) else "else"]
            case Switch(switch=expression, cases=cases):
                value = expression.value(self._words.names(frame))
                return instruction.ways[str(value) if str(value) in cases else "default"]
            case Set(set=values):
                self._set(frame, values)
            case Forget(forget=names):
                self._disagree([name for name in names if name in self.context.turn.state])
                forget(self.context.turn.state, names)
                for name in names:
                    frame.values.pop(name, None)
            case Run(run=name) | Link(link=name):
                return self._enter(frame, instruction, name, leaves=isinstance(step, Link))
            case Answer(answer=question, collections=collections):
                await self._answer(str(question.value(self._words.names(frame)) or ""), collections)
            case HandOverStep(hand_over=reason):
                for one in reversed(self.task_of(frame)):
                    self.drop(one, slots=False)
                await hand_over(self.context, reason)
                return _WAIT
        return instruction.next

    def _run_ask(self, frame: Frame, instruction: Instruction, step: Ask) -> int:
        state, name = self.context.turn.state, step.ask
        if step.choices is not None:
            frame.choices[name] = options_in(step.choices.value(self._words.names(frame)))
        if step.again:
            if name in state and self._once_more(frame, name):
                self.give_up()
                return _WAIT
            said = self._words.names(frame)  # the question may tell the value that was wrong
            state.pop(name, None)
            self._disagree([name])
        elif name in state:
            return instruction.next
        else:
            said = self._words.names(frame)
        frame.asking = name
        if step.again:
            frame.at = self.program.instructions[instruction.next].id if instruction.next >= 0 else ""
        if step.say:
            self._words.say(step.say, frame, instruction.id, {**said, "choices": frame.choices.get(name, [])})
        else:
            self.ask()
        return _WAIT

    async def _run_call(self, frame: Frame, instruction: Instruction, step: Call) -> int:
        if self._calls.asks(step.call) and not frame.agreed:
            frame.asking = AGREE
            self.ask()
            return _WAIT
        state, slots = self.context.turn.state, self.program.flow.slots
        before = {slot: state.get(slot) for slot in slots}
        made = await self._calls.made(frame, self.program, instruction, step)
        self._disagree([slot for slot in slots if state.get(slot) != before[slot]])
        if made:
            return instruction.next
        if step.failed is not None:
            return instruction.ways["failed"]
        self.context.say("tool_failed", title=self._title)
        frame.asking = RETRY
        self.ask()
        return _WAIT

    def _set(self, frame: Frame, values: Mapping[str, Any]) -> None:
        for name, expression in values.items():
            value = expression.value(self._words.names(frame))
            if name not in self.program.flow.slots:
                frame.values[name] = value
            else:
                self._put(name, value)

    def _put(self, slot: str, value: Any) -> None:
        """Gives a slot a value that the flow itself found, or none."""
        state = self.context.turn.state
        if state.get(slot) != value:
            self._disagree([slot])
        if value is None:
            state.pop(slot, None)
        else:
            state[slot] = value

    def _enter(self, frame: Frame, instruction: Instruction, name: str, *, leaves: bool) -> int:
        others = [other for other in self.frames if other is not frame]
        if any(other.name == name for other in others) or (not leaves and name == frame.name):
            _log.warning("flow %s runs already: it is not started within itself", name)
            if not leaves:
                return instruction.next
            self.drop(frame, slots=False)
            self.resume()
            return _WAIT
        if leaves:
            self.frames.remove(frame)
        else:
            frame.at = self.program.instructions[instruction.next].id if instruction.next >= 0 else ""
        if len(self.frames) >= DEEPEST:
            self.frames.pop(0)
        first = self._flows.programs[name].instructions[0].id
        self.frames.append(
            Frame(
                name,
                first,
                agreed=frame.agreed and not leaves,
                seen=self._now(),
                called=not leaves or frame.called,
                covered=frame.covered if leaves else {},
            )
        )
        return _GONE

    async def _answer(self, question: str, collections: Sequence[str]) -> None:
        retrieval: Retrieval | None = await self.context.search(question, collections)
        if retrieval is None:
            self.context.say("knowledge_failed")
        elif not retrieval.relevant:
            self.context.say("nothing_found")
        else:
            self.context.speaker.paragraph()
            await self.context.answer.answer(self.context, retrieval)

    def _now(self) -> float:
        """Seconds since the Unix epoch."""
        return self.context.parts.now().timestamp()
