"""A language model that says what a script says: for tests of assistants, in process and served."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.assistant.contract import Chunk, Prompt, ToolSpec
from holdfast.assistant.flows.yaml_source import read
from holdfast.errors import ConfigError, ModelError
from holdfast.sessions.message import ToolCall

if TYPE_CHECKING:
    from holdfast.assistant.parts import Parts

SCRIPT: Final = "HOLDFAST_SCRIPTED_MODEL"
"""The environment variable that names a script file, instead of ``model.base_url = "file:script.yaml"``."""


@dataclass(frozen=True)
class ModelRequest:
    """What the model was asked."""

    prompts: tuple[Prompt, ...]
    tools: tuple[ToolSpec, ...] = ()
    schema: Mapping[str, Any] | None = None

    @property
    def system(self) -> str:
        """What the system prompts say."""
        return "\n\n".join(prompt.content for prompt in self.prompts if prompt.role == "system")

    @property
    def user(self) -> str:
        """The last user's message."""
        return next((prompt.content for prompt in reversed(self.prompts) if prompt.role == "user"), "")

    @property
    def last(self) -> str:
        """The last message, whosever it is: a tool's result, say."""
        return self.prompts[-1].content if self.prompts else ""

    @property
    def tool_names(self) -> list[str]:
        """The tools that it may want called."""
        return [tool.name for tool in self.tools]


@dataclass
class ScriptedAnswer:
    """One answer.

    Attributes:
        text: what it says, a word a chunk; ``pieces`` instead says where it is cut.
        calls: tools that it wants called: ``{"find_order": {"number": "HF20931"}}`` or pairs, or `ToolCall`; or a function of the
            `ModelRequest` that returns such.
        structured: what it says as JSON.
        error: it fails with this reason of `ModelError`, after what it says. finish: why it ends.
        delay: seconds before its first piece. pause: seconds before each further piece.
        usage: prompt and completion tokens; none is told where it is None.
        when: a regular expression for the last user's message, or a function of the `ModelRequest`.
        after: a regular expression for the last message. An answer without these two fits everything.
        times: how often it is given; None is as often as it fits.
    """

    text: str = ""
    pieces: Sequence[str] = ()
    calls: Mapping[str, Any] | Sequence[Any] | Callable[[ModelRequest], Any] = ()
    structured: Any = None
    error: str = ""
    finish: str = ""
    delay: float = 0.0
    pause: float = 0.0
    usage: tuple[int, int] | None = None
    when: str | Callable[[ModelRequest], bool] | None = None
    after: str | None = None
    times: int | None = 1

    def fits(self, request: ModelRequest) -> bool:
        """Whether it may answer this request."""
        if callable(self.when):
            if not self.when(request):
                return False
        elif self.when is not None and not re.search(self.when, request.user, re.IGNORECASE):
            return False
        return self.after is None or re.search(self.after, request.last, re.IGNORECASE) is not None

    def tool_calls(self, number: int, request: ModelRequest) -> tuple[ToolCall, ...]:
        """The calls, each with an id."""
        wanted: Any = self.calls(request) if callable(self.calls) else self.calls
        pairs: Iterable[Any] = wanted.items() if isinstance(wanted, Mapping) else wanted
        found = []
        for place, one in enumerate(pairs):
            if isinstance(one, ToolCall):
                found.append(one)
            elif isinstance(one, Mapping):
                found += [ToolCall(f"call-{number}-{place}", name, given) for name, given in one.items()]
            else:
                found.append(ToolCall(f"call-{number}-{place}", one[0], one[1]))
        return tuple(found)


class ScriptRanOut(AssertionError):
    """The model was asked for something that its script has no (further) answer for."""


Scripted = ScriptedAnswer | str | Mapping[str, Any]
"""An answer; a text alone; or an answer's attributes as a mapping."""


@dataclass
class ScriptedModel:
    """`Model` by a script: the first answer that fits and is not used up.

        model = ScriptedModel(["Hello!", ScriptedAnswer(calls={"find_order": {"number": "1"}}), "It is on its way."])
        model = ScriptedModel({"where is": "On its way.", "hello": ["Hello!", "Hello again!"]})

    A list is given in its order. In a mapping from regular expressions for the last user's message, a single answer is given as
    often as it fits, and those of a list once each.

    Attributes:
        requests: what it was asked, in order. log: a file that gets each request as a line of JSON, from all processes.

    Raises `ScriptRanOut` where it has no answer: that is nothing that an assistant copes with, so the turn fails.
    """

    script: Sequence[Scripted] | Mapping[str, Scripted | Sequence[Scripted]]
    name: str = "scripted"
    log: Path | None = None
    requests: list[ModelRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answers = list(_answers(self.script))
        self._used = [0] * len(self._answers)

    async def stream(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Model.stream`."""
        request = ModelRequest(tuple(prompts), tuple(tools), schema)
        self.requests.append(request)
        answer = self._next(request)
        self._note(request)
        await asyncio.sleep(answer.delay)
        text = answer.text if answer.structured is None else json.dumps(answer.structured, ensure_ascii=False)
        for piece in answer.pieces or re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", text):
            yield Chunk(piece)
            await asyncio.sleep(answer.pause)
        if answer.error:
            raise ModelError(f"as the script says: {answer.error}", answer.error)
        calls = answer.tool_calls(len(self.requests), request)
        usage = answer.usage and {"prompt_tokens": answer.usage[0], "completion_tokens": answer.usage[1]}
        yield Chunk(finish=answer.finish or ("tool_calls" if calls else "stop"), calls=calls, usage=usage)

    @property
    def left(self) -> int:
        """Answers that were not given yet, of those that are given a number of times."""
        return sum(
            answer.times - used
            for answer, used in zip(self._answers, self._used, strict=True)
            if answer.times is not None
        )

    async def aclose(self) -> None:
        """See `Model.aclose`."""

    def _next(self, request: ModelRequest) -> ScriptedAnswer:
        for place, answer in enumerate(self._answers):
            if (answer.times is None or self._used[place] < answer.times) and answer.fits(request):
                self._used[place] += 1
                return answer
        raise ScriptRanOut(
            f"the script has no answer to request {len(self.requests)} (of {len(self._answers)} answers, {self.left} are left, and "
            f"none fits): the last user's message is {request.user[:200]!r}, the last message {request.last[:200]!r}, the tools "
            f"are {request.tool_names}"
        )

    def _note(self, request: ModelRequest) -> None:
        if self.log is not None:
            line = msgspec.json.encode(
                {
                    "user": request.user,
                    "last": request.last,
                    "tools": request.tool_names,
                    "prompts": len(request.prompts),
                }
            )
            with self.log.open("ab") as file:
                file.write(line + b"\n")


def scripted(parts: Parts) -> ScriptedModel:
    """A model that says what a script says, for tests.

    The factory for ``assistant.model = "holdfast.testing:scripted"``. The script is a file, YAML or JSON, which the environment
    variable HOLDFAST_SCRIPTED_MODEL names, or ``model.base_url = "file:script.yaml"``: a list of answers, or a mapping with
    ``answers`` and ``log``. Raises `ConfigError`, also for an answer with an attribute that there is not.
    """
    named = os.environ.get(SCRIPT) or (parts.config.model.base_url or "").removeprefix("file:")
    if not named:
        raise ConfigError(f'the scripted model needs a script: model.base_url = "file:script.yaml", or {SCRIPT}')
    return read_script(Path(named), name=parts.config.model.name)


def read_script(file: Path, *, name: str = "scripted") -> ScriptedModel:
    """A scripted model from a file. Raises `ConfigError`."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.suffix == ".json" else read(file).value
    except ConfigError:
        raise  # names file and line
    except (OSError, ValueError) as error:
        raise ConfigError(f"script {file}: {error}") from error
    whole = found if isinstance(found, Mapping) and "answers" in found else {"answers": found}
    log = whole.get("log")
    try:
        return ScriptedModel(whole["answers"], name=name, log=file.parent / log if log else None)
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"script {file}: {error}") from error


def _answers(script: Sequence[Scripted] | Mapping[str, Any]) -> Iterable[ScriptedAnswer]:
    if isinstance(script, Mapping):
        for pattern, given in script.items():
            once = isinstance(given, Sequence) and not isinstance(given, str)
            for one in given if once else [given]:
                answer = _answer(one)
                answer.when = pattern
                if not once:
                    answer.times = None
                yield answer
    else:
        for one in script:
            yield _answer(one)


def _answer(given: Any) -> ScriptedAnswer:
    if isinstance(given, ScriptedAnswer):
        return ScriptedAnswer(**vars(given))
    return ScriptedAnswer(text=given) if isinstance(given, str) else ScriptedAnswer(**given)
