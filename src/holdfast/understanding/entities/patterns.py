"""Phone numbers, addresses and identity numbers as they are asked for: what a slot takes.

Narrower than what is masked (see `holdfast.sensitive`): a landline is masked, but no answer to the question for a mobile number.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.sensitive.cards import find_id_cards
from holdfast.sensitive.emails import find_emails
from holdfast.sensitive.kind import Found as Span
from holdfast.sensitive.phones import abroad, mobiles
from holdfast.sensitive.plain import plain


def phones(text: str) -> Iterator[Span]:
    """Mainland mobile numbers as 11 digits, others where they are written with ``+``. Takes `plain` text."""
    yield from mobiles(text)
    yield from abroad(text)


emails = find_emails
id_cards = find_id_cards

__all__ = ["Span", "emails", "id_cards", "phones", "plain"]
