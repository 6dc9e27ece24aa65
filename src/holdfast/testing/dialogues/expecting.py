"""What differs between a turn and what was expected of it: plain rules."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from holdfast.assistant.flows.yaml_source import Place
from holdfast.testing.dialogues.schema import Called, Expect
from holdfast.testing.dialogues.seen import Failure, Seen, ToolCalled

_NONE: Final = "(none)"


def differences(expect: Expect, seen: Seen, line: Callable[[Place], int]) -> list[Failure]:
    """Whatever is not as expected, in the order of the file's lines. ``line``: of a part of the expectation."""
    found = [
        Failure(line(place), str(place[0]), wanted, came, near)
        for look in (_words, _flows, _values, _outside)
        for place, wanted, came, near in look(expect, seen)
    ]
    return sorted(found, key=lambda failure: failure.line)


_Difference = tuple[Place, str, str, str]
"""Where it stands in the expectation, what was expected, what came, the nearest of what came."""


def _words(expect: Expect, seen: Seen) -> Iterator[_Difference]:
    for number, text in enumerate(expect.said):
        if text not in seen.reply:
            yield ("said", number), text, seen.reply, _nearest(text, seen.reply.splitlines())
    for number, text in enumerate(expect.said_not):
        if text in seen.reply:
            yield ("said_not", number), f"not {text}", seen.reply, _nearest(text, seen.reply.splitlines())
    for number, pattern in enumerate(expect.matches):
        if not re.search(pattern, seen.reply):
            yield ("matches", number), pattern, seen.reply, _nearest(pattern, seen.reply.splitlines())


def _flows(expect: Expect, seen: Seen) -> Iterator[_Difference]:
    if "flow" in expect.model_fields_set and expect.flow != seen.flow:
        yield ("flow",), expect.flow or _NONE, seen.flow or _NONE, ""
    for name in expect.started:
        if name not in seen.started:
            yield ("started",), name, _names(seen.started), ""
    for name in expect.ended:
        if name not in seen.ended:
            yield ("ended",), name, _names(seen.ended), ""


def _values(expect: Expect, seen: Seen) -> Iterator[_Difference]:
    for key, values in (("slots", expect.slots), ("state", expect.state)):
        for name, value in values.items():
            if not same(value, seen.state.get(name)):
                came = f"{name}: {_shown(seen.state[name])}" if name in seen.state else f"{name} has no value"
                yield (
                    (key, name),
                    f"{name}: {_shown(value)}",
                    came,
                    "" if name in seen.state else _nearest(name, seen.state),
                )
    for key, names in (("slots_not", expect.slots_not), ("state_not", expect.state_not)):
        for name in names:
            if name in seen.state:
                yield (key,), f"no value of {name}", f"{name}: {_shown(seen.state[name])}", ""


def _outside(expect: Expect, seen: Seen) -> Iterator[_Difference]:
    calls = [_call(call) for call in seen.calls]
    for number, wanted in enumerate(expect.tool):
        if not any(_fits(wanted, call) for call in seen.calls):
            same_tool = [_call(call) for call in seen.calls if call.name == wanted.name]
            text = f"{wanted.name} {_shown(wanted.with_)}" if wanted.with_ else wanted.name
            yield (
                ("tool", number),
                text,
                "; ".join(calls) or _NONE,
                same_tool[-1] if len(calls) > 1 and same_tool else "",
            )
    if expect.tools is not None and list(expect.tools) != [call.name for call in seen.calls]:
        yield ("tools",), _names(expect.tools), "; ".join(calls) or _NONE, ""
    for number, document in enumerate(expect.cited):
        if not any(document in one for one in seen.cited):
            yield ("cited", number), document, _names(seen.cited), _nearest(document, seen.cited)
    for key, value, came in (("intent", expect.intent, seen.intent), ("language", expect.language, seen.language)):
        if value is not None and value != came:
            yield (key,), value or _NONE, came or _NONE, ""
    if expect.handed_over is not None and expect.handed_over != seen.handed_over:
        yield ("handed_over",), _shown(expect.handed_over), _shown(seen.handed_over), ""


def same(expected: Any, came: Any) -> bool:
    """Whether a value is the expected one. Of a mapping, the expected keys count; a number stands for the text of its digits."""
    if isinstance(expected, Mapping) and isinstance(came, Mapping):
        return all(key in came and same(value, came[key]) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(came, list | tuple):
        return len(expected) == len(came) and all(same(*both) for both in zip(expected, came, strict=True))
    if isinstance(expected, bool) or isinstance(came, bool):
        return expected is came
    return bool(expected == came) or (isinstance(expected, int) and isinstance(came, str) and str(expected) == came)


def _fits(wanted: Called, call: ToolCalled) -> bool:
    return wanted.name == call.name and same(wanted.with_, call.arguments)


def _nearest(text: str, among: Iterable[str]) -> str:
    among = [one for one in among if one]
    if len(among) < 2:
        return ""
    return max(among, key=lambda one: difflib.SequenceMatcher(None, text.lower(), one.lower()).ratio())


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or _NONE


def _call(call: ToolCalled) -> str:
    return f"{call.name} {_shown(call.arguments)}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
