"""XML that strangers send, read without what makes it dangerous: no document type, so no entities and nothing fetched."""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from holdfast.server.channels.contract import Malformed

_DEEPEST: Final = 8
_MOST: Final = 100


def fields_of(body: bytes) -> dict[str, str]:
    """The texts of the elements right below the root, by name. Raises `Malformed` for a DOCTYPE too: entities that grow or
    read files can only be declared there."""
    fields: dict[str, str] = {}
    path: list[str] = []

    def begin(name: str, attributes: Any) -> None:
        path.append(name)
        if len(path) > _DEEPEST or len(fields) > _MOST:
            raise Malformed("The XML is too deep or too long.")
        if len(path) == 2:
            fields[name] = ""

    def end(name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        if len(path) == 2:
            fields[path[1]] += data

    def refuse(*declared: Any) -> None:
        raise Malformed("XML with a document type is not taken.")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, text
    try:
        parser.Parse(body.decode(), True)  # UTF-8, whatever the document says of itself
    except (expat.ExpatError, UnicodeDecodeError):
        raise Malformed("The body is not XML in UTF-8.") from None
    return fields
