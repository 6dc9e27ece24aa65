"""Tools over an HTTP API."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from holdfast.assistant.contract import ToolSpec
from holdfast.assistant.parts import Parts
from holdfast.errors import ConfigError, ToolError
from holdfast.turns.turn import Turn

URL: Final = "EXAMPLE_PARTS_API"
"""The variable with the API's URL."""

_NUMBER: Final = {
    "type": "object",
    "properties": {"number": {"type": "string", "description": "like HF20931"}},
    "required": ["number"],
    "additionalProperties": False,
}
_SPECS: Final = {
    "get_order": ToolSpec("get_order", "Looks an order up.", _NUMBER),
    "cancel_order": ToolSpec("cancel_order", "Cancels an order.", _NUMBER, asks=True),
}
_LARGEST: Final = 64 * 1024


class HttpTools:
    """Orders behind an HTTP API: GET and DELETE /orders/NUMBER."""

    def __init__(self, parts: Parts) -> None:
        self._url = os.environ.get(URL, "http://127.0.0.1:8099").rstrip("/")
        if urlsplit(self._url).scheme not in ("http", "https"):
            raise ConfigError(f"{URL} has to be a URL like https://shop.example/api")
        self._timeout = parts.config.tools.timeout
        self._http: httpx.AsyncClient | None = None

    def specs(self) -> Sequence[ToolSpec]:
        """See `Tools.specs`."""
        return list(_SPECS.values())

    async def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], *, step: str) -> Any:
        """See `Tools.call`. The request is made in a step: another attempt of the turn gets its result, or its failure, from the
        journal, and the shop is not asked again."""
        if name not in _SPECS:
            raise ToolError(f"there is no tool {name!r}", "not_allowed")
        number = arguments.get("number")
        if set(arguments) != {"number"} or not isinstance(number, str) or not number:
            raise ToolError(f"tool {name} takes a number, as text", "arguments")

        async def request(idempotency_key: str) -> dict[str, Any]:
            # the key is the same on every attempt: the shop knows a request again whose record was lost with its node
            try:
                return {"result": await self._request(name, number, idempotency_key)}
            except ToolError as error:
                return {"error": str(error), "reason": error.reason}

        record = await turn.step(step, request)
        if "error" in record:
            raise ToolError(record["error"], record["reason"])
        return record["result"]

    async def aclose(self) -> None:
        """Closes the client. The assistant calls it at its end, as it does for every part that has it."""
        if self._http is not None:
            await self._http.aclose()

    async def _request(self, name: str, number: str, key: str) -> Any:
        if (
            self._http is None
        ):  # opened when it is needed: a part is made without an event loop, and by `holdfast check` too
            self._http = httpx.AsyncClient(timeout=self._timeout, follow_redirects=False)
        method = "GET" if name == "get_order" else "DELETE"
        url = f"{self._url}/orders/{quote(number, safe='')}"
        try:
            answer = await self._http.request(method, url, headers={"Idempotency-Key": key})
            if answer.status_code == 404:
                return {"outcome": "unknown", "status": "unknown"}
            answer.raise_for_status()
            if len(answer.content) > _LARGEST:
                raise ToolError(f"tool {name} returned too much", "result")
            return answer.json()
        except httpx.TimeoutException as error:
            raise ToolError(f"tool {name} gave no answer within {self._timeout:g} s", "timeout") from error
        except (httpx.HTTPError, ValueError) as error:  # the words of errors may hold what the user said: not repeated
            raise ToolError(f"tool {name}: {type(error).__name__}", "raised") from error
