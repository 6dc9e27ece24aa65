"""The kinds that there are: those that come with Holdfast, and those that were registered."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any, Final

from holdfast.errors import ConfigError
from holdfast.sensitive import hints, masks
from holdfast.sensitive.addresses import find_addresses
from holdfast.sensitive.cards import find_bank_cards, find_ibans, find_id_cards, find_national_ids, find_passports
from holdfast.sensitive.emails import find_emails
from holdfast.sensitive.kind import Kind, text_mask
from holdfast.sensitive.names import find_names
from holdfast.sensitive.networks import find_ips, find_plates
from holdfast.sensitive.phones import find_phones

BUILT_IN: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("email", masks.email_mask, find_emails, hints.AT, reach=16),
        Kind("iban", masks.iban_mask, find_ibans, hints.ACCOUNT, reach=1),
        Kind("id_card", masks.id_card_mask, find_id_cards, hints.LONG_NUMBER),
        Kind("bank_card", masks.bank_card_mask, find_bank_cards, hints.LONG_NUMBER),
        Kind("national_id", masks.national_id_mask, find_national_ids, hints.NATIONAL),
        Kind("passport", masks.passport_mask, find_passports, hints.DIGITS),
        Kind("phone", masks.phone_mask, find_phones, hints.DIGITS),
        Kind("plate", masks.plate_mask, find_plates, hints.PLATE),
        Kind("ip", masks.ip_mask, find_ips, hints.DOTTED),
        Kind("address", masks.address_mask, find_addresses, hints.PLACE, reach=48),
        Kind("name", masks.name_mask, find_names, hints.NAME, reach=32),
        Kind("text", text_mask),
    )
}
"""By name, and of two that claim the same place of a text the first one has it."""

_MASKED: Final = re.compile(r"[\w+]{0,4}\*{4}(?:\*{7})?[ ]?\w{0,4}|\w?\*{3}@\S+|\w\*{3}|\w{1,2}\*")
"""What a mask looks like: it is shown as it is, so that what was masked twice is the same as what was masked once."""

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
    if found is None or found.mask is text_mask:
        return text_mask(value)
    return value if _MASKED.fullmatch(value) else found.mask(value)
