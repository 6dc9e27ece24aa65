"""The README's Python examples run as they stand, and its links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README + CHINESE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_readme_example_runs(example: str) -> None:
    code = compile(example, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, {"__name__": "readme"})
    if inspect.isawaitable(result):
        await result


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


def test_readme_stays_short() -> None:
    assert len(README.splitlines()) < 150
    assert len(CHINESE.splitlines()) < 150


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)h][^)]*)\)", README + CHINESE))))
def test_readme_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
