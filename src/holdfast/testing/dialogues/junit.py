"""A report as JUnit XML, as CI servers read it."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as xml

from holdfast.testing.dialogues.running import Report
from holdfast.testing.dialogues.seen import Result
from holdfast.testing.dialogues.telling import told

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> bytes:
    """One suite for each file, one case for each dialogue, with the dialogue's file and line."""
    root = xml.Element("testsuites", _counts(report.results), name="holdfast dialogues")
    root.set("time", f"{report.seconds:.3f}")
    for file, group in groupby(report.results, key=lambda result: result.file):
        results = tuple(group)
        suite = xml.SubElement(root, "testsuite", _counts(results), name=_plain(file), skipped="0")
        suite.set("time", f"{sum(result.seconds for result in results):.3f}")
        for result in results:
            case = xml.SubElement(
                suite,
                "testcase",
                name=_plain(result.name),
                classname=_plain(Path(file).stem),
                file=_plain(file),
                line=str(result.line),
                time=f"{result.seconds:.3f}",
            )
            if result.failures:
                first = result.failures[0]
                message = f"{file}:{first.line}: {first.key or 'turn'}: expected {first.expected}, came {first.came}"
                failure = xml.SubElement(case, "failure", message=_plain(message), type=first.key or "turn")
                failure.text = _plain(told(result))
    xml.indent(root)
    text: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _counts(results: tuple[Result, ...]) -> dict[str, str]:
    failed = sum(not result.passed for result in results)
    return {"tests": str(len(results)), "failures": str(failed), "errors": "0"}


def _plain(text: str) -> str:
    """Without characters that no XML can hold."""
    return _NOT_XML.sub("\ufffd", text)
