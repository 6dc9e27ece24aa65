"""The command line as a function: arguments in; exit code, stdout and stderr out."""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import Any, NamedTuple
from unittest import mock

from holdfast.cli.app import run


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """JSON lines on stdout."""
        return [json.loads(line) for line in self.out.split("\n") if line]


def cli(*args: object) -> Ran:
    """``holdfast ARGS``, in this process, with no store in the environment."""
    out, err = io.BytesIO(), io.BytesIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ))
        os.environ.pop("HOLDFAST_STORE", None)
        stdout = stack.enter_context(contextlib.redirect_stdout(io.TextIOWrapper(out, "utf-8", newline="")))
        stderr = stack.enter_context(contextlib.redirect_stderr(io.TextIOWrapper(err, "utf-8", newline="")))
        code = run([str(arg) for arg in args])
        stdout.flush()
        stderr.flush()
        return Ran(code, out.getvalue().decode(), err.getvalue().decode())
