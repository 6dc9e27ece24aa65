"""The policy of flows: a flow that runs goes first, a question in between is answered and the flow goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.assistant.context import Context
from holdfast.assistant.contract import AskDocuments, CancelFlow, HandOver, SetSlot, StartFlow
from holdfast.assistant.flows.filling import as_kept, attempted, days, given, mentioned
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.frames import AGREE, CONFIRM, RETRY, Frame, load
from holdfast.assistant.flows.running import ENDED, Running, Watch
from holdfast.assistant.flows.schema import Flow
from holdfast.assistant.handover import hand_over, handed_over
from holdfast.assistant.routing import unanswered


class FlowPolicy:
    """`Policy` for flows. ``watch``: told of every step that is run."""

    def __init__(self, flows: FlowSet) -> None:
        self.flows = flows
        self.watch: Watch | None = None

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`."""
        turn, understood = context.turn, context.understood
        frames = load(turn.state, self.flows.programs)
        kept = len(frames)
        now = context.parts.now().timestamp()
        running = Running(context, self.flows, frames, self.watch)
        for late in reversed(self._late(frames, now)):
            running.drop(late)
        if len(frames) < kept:
            context.trace.note("flow_timed_out", left=len(frames))
        if not frames and understood.flow not in self.flows.programs and not understood.commands:
            answered = "cancel" in understood.signals
            if answered:
                context.say("nothing_to_cancel")
            elif "correct" in understood.signals and (ended := _ended_last(context)) in self.flows.programs:
                context.say("done_already", title=self.flows.programs[ended].flow.title)
                answered = True
            if kept or answered:
                running.close()
            return answered
        for frame in frames:
            frame.seen = now
        if frames and len(frames) < kept and _only_steers(context):
            running.resume()  # the question that these words answer was that of a flow that is gone
        elif not await self._respond(context, running):
            return False
        if running.frames and not running.frame.done and not running.frame.asking:
            await running.proceed()  # the one above has ended, and asked for what this one waited for
        running.close()
        return True

    async def _respond(self, context: Context, running: Running) -> bool:
        understood = context.understood
        frame = running.frame if running.frames else None
        if understood.commands:
            return await self._obey(context, running)
        if "cancel" in understood.signals and not self._answers(running, frame):
            if frame is None or frame.done:
                context.say("nothing_to_cancel")
            else:
                running.cancel()
            return True
        if frame is not None and await self._continued(context, running, frame):
            return True
        if understood.flow in self.flows.programs:
            await self._start(context, running, understood.flow)
            return True
        if frame is not None and not frame.done:
            await self._interrupted(context, running, frame)
            return True
        return False

    async def _start(self, context: Context, running: Running, name: str, slots: dict[str, Any] | None = None) -> None:
        program = self.flows.programs[name]
        values = {
            **given(
                context.understood,
                program.flow,
                Frame(name),
                _remembered(program.flow, context.turn.state),
                context.turn.text,
                context.parts.now(),
            ),
            **(slots or {}),
        }
        told = days(context.understood, program.flow, Frame(name), values)
        running.start(name)
        running.frame.days.update(told)
        if running.fill(values):
            await running.proceed()

    async def _obey(self, context: Context, running: Running) -> bool:
        """Carries out what a model made of the user's words; each command was checked against the flows.

        Values come last, whatever the order: they go on with the flow, and so ask its next question once.
        """
        values: dict[str, Any] = {}
        for command in context.understood.commands:
            match command:
                case CancelFlow():
                    if running.frames and not running.frame.done:
                        running.cancel()
                    else:
                        context.say("nothing_to_cancel")
                case StartFlow(flow=name, slots=slots):
                    kept, wrong = self._kept(context, name, slots)
                    await self._start(context, running, name, kept)
                    if wrong and running.frames and running.frame.asking == wrong[0]:
                        context.say("invalid")
                case SetSlot(name=name, value=value):
                    values[name] = value
                case AskDocuments():
                    if not await context.others():
                        unanswered(context)
                    if not values:
                        running.resume()
                case HandOver(reason=reason):
                    await hand_over(context, reason)
                    if handed_over(context.turn.state):
                        return True  # what else was said is the person's
        if values and running.frames:
            kept, wrong = self._kept(context, running.frame.name, values)
            if wrong and not kept:
                running.wrong_answer(wrong[0])
            elif running.fill(kept):
                await running.proceed()
        return True

    def _kept(self, context: Context, name: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Values in words as the flow's slots keep them, and the slots whose value is none."""
        slots = self.flows.programs[name].flow.slots
        found = {
            slot: as_kept(slot, slots[slot], value, context.parts.now())
            for slot, value in values.items()
            if slot in slots
        }
        return (
            {slot: value for slot, value in found.items() if value is not None},
            [slot for slot, value in found.items() if value is None],
        )

    async def _continued(self, context: Context, running: Running, frame: Frame) -> bool:
        """What the running (or just finished) flow makes of the words; False where they are not for it."""
        turn, understood, flow = context.turn, context.understood, running.program.flow
        signals = understood.signals
        values = given(understood, flow, frame, turn.state, turn.text, context.parts.now())
        news = {name: value for name, value in values.items() if turn.state.get(name) != value}
        own = {one.name for one in running.task_of(frame)}
        another = understood.flow in self.flows.programs and understood.flow not in own
        if another and "correct" not in signals and frame.asking not in values:
            return False  # "where is HF11111?" while HF22222 is being returned: its values are the other flow's
        if not frame.done and (told := days(understood, flow, frame, {**turn.state, **values})):
            frame.days.update(told)
            if not values and frame.asking in told:
                running.ask()
                return True
        open_question = not frame.done and frame.asking in (CONFIRM, AGREE, RETRY)
        # a yes is the whole of what was said: a choice that sounds in it ("有问题" in "没有问题") was not meant
        answers = not news or "affirm" in signals
        if open_question and answers and "question" not in signals and await self._answered(running, frame, signals):
            return True
        if values and (not frame.done or understood.flow != frame.name or understood.reference):
            if frame.done and not news and not understood.reference:
                return False
            if open_question and not news:
                return False
            if running.fill(values):
                await running.proceed()
            return True
        if values:  # asked for anew, with values
            return False
        if "question" in signals and "deny" not in signals and not understood.reference:
            return False
        if "correct" in signals or (understood.reference and not understood.flow):
            return self._corrected(context, running, frame)
        return False

    @staticmethod
    def _answers(running: Running, frame: Frame | None) -> bool:
        """Whether words that sound like giving up answer the open question: "not needed" is a no, or one of the choices."""
        if frame is None or frame.done:
            return False
        understood = running.context.understood
        slot = running.program.flow.slots.get(frame.asking)
        if frame.asking == CONFIRM or (slot is not None and slot.type == "yes_no"):
            return "deny" in understood.signals
        return (
            slot is not None and slot.type == "choice" and any(one.kind == frame.asking for one in understood.entities)
        )

    async def _answered(self, running: Running, frame: Frame, signals: frozenset[Any]) -> bool:
        """A yes or no to the open question."""
        program = running.program
        if signals & {"affirm", "retry"} if frame.asking == RETRY else "affirm" in signals:
            if frame.asking == CONFIRM:
                instruction = program.instructions[program.position(frame.at) or 0]
                way = instruction.ways["yes"]
                frame.at = program.instructions[way].id if way >= 0 else ""
            if frame.asking != RETRY:
                frame.agreed = True
            await running.proceed()
            return True
        if "deny" in signals and "correct" not in signals:
            if frame.asking == CONFIRM:
                instruction = program.instructions[program.position(frame.at) or 0]
                if instruction.step.no is not None:
                    way = instruction.ways["no"]
                    frame.at = program.instructions[way].id if way >= 0 else ""
                    await running.proceed()
                    return True
            running.cancel()
            return True
        return False

    def _corrected(self, context: Context, running: Running, frame: Frame) -> bool:
        """ "That is wrong", or "the other one", without what would be right."""
        understood, flow = context.understood, running.program.flow
        name = mentioned(understood, flow)
        if name is None and "question" in understood.signals:
            return False
        if name is None and not understood.reference and frame.done and not _told_last(context):
            return False
        if understood.reference and (name is None or frame.choices.get(name)):
            return self._unresolved(context, running, frame)
        name = name or self._latest(context, running, frame)
        if name is None:
            return False
        running.ask_again(name)
        return True

    def _unresolved(self, context: Context, running: Running, frame: Frame) -> bool:
        """A reference that picks none of the choices: the third of two, the other of three."""
        name = next((slot for slot in running.program.flow.slots if frame.choices.get(slot)), None)
        if name is None:
            return False
        if context.understood.reference == "other" and len(frame.choices[name]) < 2:
            context.say("no_other")
            if not frame.done:
                running.ask()
            return True
        running.ask_again(name)
        return True

    def _latest(self, context: Context, running: Running, frame: Frame) -> str | None:
        """The slot that a bare "that is wrong" means: the last one that was answered before the open question."""
        names = list(running.program.flow.slots)
        open_ = frame.asking if frame.asking in names else None
        before = names[: names.index(open_)] if open_ is not None and not frame.done else names
        return next((name for name in reversed(before) if name in context.turn.state), open_)

    async def _interrupted(self, context: Context, running: Running, frame: Frame) -> None:
        """Words that do not answer the open question: a wrong answer, another question, or nothing of use."""
        understood = context.understood
        slot = running.program.flow.slots.get(frame.asking)
        if slot is not None and attempted(slot, understood):
            running.wrong_answer(frame.asking)
            return
        if "question" in understood.signals:
            if not await context.others():
                unanswered(context)
            running.ask("return")
        elif understood.signals & {"greet", "thanks", "affirm", "deny", "retry"} or not understood.text:
            running.ask()
        else:
            if not await context.others():
                context.say("unclear")
            running.ask("return")

    def _late(self, frames: list[Frame], now: float) -> list[Frame]:
        """Those that waited too long, with what they ran."""
        found: list[Frame] = []
        late = False
        for frame in frames:
            if not frame.called:
                late = bool(frame.seen) and now - frame.seen > self.flows.programs[frame.name].flow.timeout
            if late:
                found.append(frame)
        return found


def _only_steers(context: Context) -> bool:
    """Whether the words mean something only as the answer to a question."""
    understood = context.understood
    return bool(understood.signals & {"affirm", "deny", "retry", "cancel"}) and not (
        understood.flow or understood.commands or understood.entities
    )


def _remembered(flow: Flow, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without what a start of the flow forgets."""
    return {name: value for name, value in state.items() if name not in flow.slots or flow.slots[name].remember}


def _ended_last(context: Context) -> str:
    """The flow that ended with the last reply and cannot be corrected any more."""
    messages = context.turn.messages
    return str(messages[-1].metadata.get(ENDED, "")) if messages else ""


def _told_last(context: Context) -> bool:
    """Whether the last reply was a flow's, so that "that is wrong" is about it."""
    messages = context.turn.messages
    return bool(messages) and messages[-1].metadata.get("mode") == "task"
