"""Prompts, tools and answers as OpenAI's protocol writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.assistant.contract import Chunk, Prompt, ToolSpec
from holdfast.assistant.models.checking import MOST_ARGUMENT_CHARS, MOST_CALLS
from holdfast.errors import ModelError
from holdfast.sessions.message import ToolCall

_NO_PART: Final = "the model's server sent an event that is no part of an answer"


def messages(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """The prompts; system messages side by side become one, because some models' templates know only one."""
    written: list[dict[str, Any]] = []
    for prompt in prompts:
        message: dict[str, Any] = {"role": prompt.role, "content": prompt.content}
        if prompt.calls:
            message["tool_calls"] = [_call(call) for call in prompt.calls]
        if prompt.role == "tool":
            message["tool_call_id"] = prompt.call_id
        if prompt.role == "system" and written and written[-1]["role"] == "system":
            written[-1]["content"] += "\n\n" + prompt.content
        else:
            written.append(message)
    return written


def functions(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The tools."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": msgspec.to_builtins(tool.parameters),
            },
        }
        for tool in tools
    ]


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What asks for an answer that follows the schema."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": msgspec.to_builtins(schema), "strict": True},
    }


class Reading:
    """One answer's events to chunks. Nothing of an event is certain: the SDK builds it from whatever was sent."""

    def __init__(self) -> None:
        self._calls: dict[int, _Assembled] = {}
        self._size = 0

    def chunk(self, event: Any) -> Chunk:
        """One event. Raises `ModelError`."""
        usage = getattr(event, "usage", None)
        counts = dict(_counts(usage)) or None
        choices = getattr(event, "choices", None)
        if not choices:
            if choices is None and usage is None:
                raise ModelError(_NO_PART, "garbled")
            return Chunk(usage=counts)
        choice = choices[0]
        delta = getattr(choice, "delta", None)
        text = getattr(delta, "content", None) or ""
        finish = getattr(choice, "finish_reason", None) or ""
        role = getattr(delta, "role", None) or "assistant"
        if not hasattr(choice, "delta") or not isinstance(text, str) or not isinstance(finish, str):
            raise ModelError(_NO_PART, "garbled")
        if role != "assistant":
            raise ModelError("the model's server sent a message of another's role", "garbled")
        if finish == "content_filter":
            raise ModelError("the model's server withheld the answer", "refused", request=True)
        for part in getattr(delta, "tool_calls", None) or ():
            self._take(part)
        return Chunk(text, finish, counts, self._whole() if finish else ())

    def _take(self, part: Any) -> None:
        index = getattr(part, "index", None)
        index = len(self._calls) if index is None else index
        function = getattr(part, "function", None)
        fields = [getattr(part, "id", None), getattr(function, "name", None), getattr(function, "arguments", None)]
        texts = ["" if field is None else field for field in fields]
        if type(index) is not int or function is None or not all(isinstance(text, str) for text in texts):
            raise ModelError("the model's server sent a call that is none", "garbled")
        call = self._calls.setdefault(index, _Assembled())
        call.id = call.id or texts[0]
        call.name += texts[1] if texts[1] != call.name else ""  # some repeat it in each piece
        call.pieces.append(texts[2])
        self._size += len(texts[1]) + len(texts[2])
        if self._size > MOST_ARGUMENT_CHARS or len(self._calls) > MOST_CALLS:
            raise ModelError(f"the model's calls of tools go on past {MOST_ARGUMENT_CHARS} characters", "garbled")

    def _whole(self) -> tuple[ToolCall, ...]:
        calls, self._calls = self._calls, {}
        return tuple(calls[index].whole(index) for index in sorted(calls))


class _Assembled:
    """A call of which pieces come."""

    def __init__(self) -> None:
        self.id = self.name = ""
        self.pieces: list[str] = []

    def whole(self, index: int) -> ToolCall:
        text = "".join(self.pieces).strip()
        try:
            arguments = msgspec.json.decode(text) if text else {}
        except (msgspec.DecodeError, RecursionError, ValueError):
            raise ModelError("the model's arguments for a tool are no JSON", "garbled") from None
        if not isinstance(arguments, dict) or not self.name:
            raise ModelError("the model wants a tool called without a name, or with no object of arguments", "garbled")
        return ToolCall(self.id or f"call_{index}", self.name, arguments)


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _counts(usage: Any) -> Iterator[tuple[str, int]]:
    for name in ("prompt_tokens", "completion_tokens"):
        count = getattr(usage, name, None)
        if type(count) is int and 0 <= count < 10**9:
            yield name, count
