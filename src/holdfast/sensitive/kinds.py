"""The kinds that there are: those that come with Holdfast, and those that were registered."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from holdfast.errors import ConfigError
from holdfast.sensitive import masks
from holdfast.sensitive.addresses import find_addresses
from holdfast.sensitive.cards import find_bank_cards, find_ibans, find_id_cards, find_national_ids, find_passports
from holdfast.sensitive.emails import find_emails
from holdfast.sensitive.kind import Kind, text_mask
from holdfast.sensitive.names import find_names
from holdfast.sensitive.networks import find_ips, find_plates
from holdfast.sensitive.phones import find_phones

_DIGITS: Final = r"[\d零〇一二三四五六七八九幺](?:[^\w\n]{0,4}[\d零〇一二三四五六七八九幺]){3}"
"""Four digits of any script, or spoken, with whatever may stand between them."""
_NAMED: Final = ""
_PLACES: Final = ""

BUILT_IN: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("email", masks.email_mask, find_emails, "[@＠]"),
        Kind("iban", masks.iban_mask, find_ibans, _DIGITS),
        Kind("id_card", masks.id_card_mask, find_id_cards, _DIGITS),
        Kind("bank_card", masks.bank_card_mask, find_bank_cards, _DIGITS),
        Kind("national_id", masks.national_id_mask, find_national_ids, _DIGITS),
        Kind("passport", masks.passport_mask, find_passports, _DIGITS),
        Kind("phone", masks.phone_mask, find_phones, _DIGITS),
        Kind("plate", masks.plate_mask, find_plates),
        Kind("ip", masks.ip_mask, find_ips),
        Kind("address", masks.address_mask, find_addresses),
        Kind("name", masks.name_mask, find_names),
        Kind("text", text_mask),
    )
}
"""By name, and of two that claim the same place of a text the first one has it."""

_registered: Final[dict[str, Kind]] = {}


def register(kind: Kind) -> Kind:
    """Makes a kind known by its name, in this process; returns it. Raises `ConfigError` where another kind has the name."""
    if kinds().get(kind.name, kind) != kind:
        raise ConfigError(f"there is a kind of sensitive values named {kind.name!r} already")
    _registered[kind.name] = kind
    return kind


def kinds() -> Mapping[str, Kind]:
    """All kinds by name."""
    return {**BUILT_IN, **_registered}


def kind_of(name: str) -> Kind:
    """The kind of a name, or at a path ``package.module:object``, which is registered by that. Raises `ConfigError`."""
    if found := BUILT_IN.get(name) or _registered.get(name):
        return found
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"there is no kind of sensitive values named {name!r}; there are: {', '.join(kinds())}")
    try:
        kind: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            kind = getattr(kind, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the kind of sensitive values {name!r} cannot be imported: {error}") from error
    if not isinstance(kind, Kind):
        raise ConfigError(f"{name!r} is no holdfast.sensitive.Kind")
    return register(kind)


def masked(kind: str, value: str) -> str:
    """The value as it may be shown; of a kind that is not known, nothing."""
    found = BUILT_IN.get(kind) or _registered.get(kind)
    return text_mask(value) if found is None else found.mask(value)
