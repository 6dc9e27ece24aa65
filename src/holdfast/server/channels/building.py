"""The channels of a config: adapters by name or as ``package.module:factory``, over one HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from holdfast import __version__
from holdfast.assistant.dotted import imported
from holdfast.assistant.masking import Masker
from holdfast.assistant.texts import Texts
from holdfast.config import Config
from holdfast.errors import ConfigError
from holdfast.server.channels.contract import Channel, Factory, Setup
from holdfast.server.channels.delivering import Delivering
from holdfast.server.channels.generic import GenericChannel
from holdfast.server.channels.wechat import WeChatChannel
from holdfast.turns.store import TurnStore

BUILT_IN: Final[Mapping[str, Factory]] = {"generic": GenericChannel, "wechat": WeChatChannel}
_METHODS: Final = ("receive", "parts", "deliver")


@asynccontextmanager
async def opened_channels(config: Config, store: TurnStore) -> AsyncIterator[dict[str, Delivering]]:
    """The channels by name, each registered in the store as the handler of its turns. Raises `ConfigError`."""
    if not config.channels:
        yield {}
        return
    import httpx  # takes long to import: see sending.py

    headers = {"User-Agent": f"holdfast/{__version__}"}
    async with httpx.AsyncClient(follow_redirects=False, headers=headers) as http:
        texts, languages = Texts(config.assistant.texts), config.assistant.languages
        yield {
            name: Delivering(
                name,
                _made(Setup(name, section, texts, languages, http)),
                section,
                store,
                turn_timeout=config.server.turn_timeout,
                stored=Masker.of(config).accepted,
            )
            for name, section in config.channels.items()
        }


def _made(setup: Setup) -> Channel:
    kind, key = setup.config.kind, f"channels.{setup.name}.kind"
    if kind not in BUILT_IN and ":" not in kind:
        known = ", ".join(sorted(BUILT_IN))
        raise ConfigError(f'{key} = "{kind}" is no channel; there are: {known}, or package.module:factory of your own')
    factory = BUILT_IN[kind] if kind in BUILT_IN else imported(kind, key)
    channel: Channel = factory(setup)
    missing = [name for name in _METHODS if not callable(getattr(channel, name, None))]
    if missing or not hasattr(channel, "accepted"):
        lacks = ", ".join([*missing, *([] if hasattr(channel, "accepted") else ["accepted"])])
        raise ConfigError(f'{key} = "{kind}" made {type(channel).__name__}, which lacks {lacks}')
    return channel
