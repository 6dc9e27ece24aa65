"""What other frameworks write for one message, laid flat: role, content, tool calls. Layouts as of late 2026, seen on a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Item = dict[str, Any]


def _plain(item: Item) -> Item:
    return item


def _langchain(item: Item) -> Item:
    """``{"type": "human", "data": {"content": ..., "additional_kwargs": ...}}``; a "chat" message has a role of its own."""
    data = item.pop("data", None)
    if not isinstance(data, dict):
        return {**item, "data": data}
    kind = item.pop("type", None)
    flat = {**item, **data}
    flat.pop("type", None)
    return {**flat, "role": data.get("role") if kind == "chat" else kind}


def _openai_agents(item: Item) -> Item:
    """Items of the Responses API: a message with a role; a call; a call's output; anything else is kept as it is."""
    kind = item.pop("type", "message")
    if kind == "message" and "role" in item:
        return item
    if kind == "function_call":
        call = {"id": item.pop("call_id", ""), "name": item.pop("name", None), "arguments": item.pop("arguments", None)}
        return {**item, "role": "assistant", "content": "", "tool_calls": [call]}
    if kind == "function_call_output":
        output, call_id = item.pop("output", None), item.pop("call_id", "")
        return {**item, "role": "tool", "content": output, "tool_call_id": call_id}
    return {"role": "assistant", "content": "", "item": {"type": kind, **item}}


def _llamaindex(item: Item) -> Item:
    """``{"role", "additional_kwargs", "blocks": [{"block_type": "text", "text"}]}``; older releases wrote ``content``."""
    blocks = item.pop("blocks", None)
    more = item.pop("additional_kwargs", None)
    flat = {**more, **item} if isinstance(more, dict) else item
    if blocks is not None:
        texts = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
        joined = len(texts) > 1 and all(block.get("block_type") == "text" for block in texts)
        # what it shows of several blocks of text is their lines
        flat["content"] = "\n".join(str(block.get("text")) for block in texts) if joined else blocks
    return flat


ITEMS: Final[dict[str, Callable[[Item], Item]]] = {
    "json": _plain,
    "langchain": _langchain,
    "openai-agents": _openai_agents,
    "llamaindex": _llamaindex,
}
