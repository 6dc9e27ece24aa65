"""E-mail addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.sensitive.context import in_link, links
from holdfast.sensitive.kind import Found

_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    r"(?!(?:png|jpe?g|gif|svg|webp|js|css|ts|mjs)(?![A-Za-z0-9]))(?:xn--[a-z0-9-]{1,59}|[A-Za-z]{2,24})(?![A-Za-z0-9-]*@)",
    re.IGNORECASE,
)


def find_emails(text: str) -> Iterator[Found]:
    """Addresses in lower case."""
    if "@" not in text:
        return
    skip = links(text)
    for match in _EMAIL.finditer(text):
        name = match[0].partition("@")[0]
        if name.endswith(".") or ".." in name or in_link(text, skip, match.start()):
            continue
        if name.lower() == "git" and text.startswith(":", match.end()):
            continue
        yield Found(match.start(), match.end(), match[0].lower())
