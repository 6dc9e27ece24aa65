"""Runs one target under atheris, in a process of its own: ``python fuzz_one.py NAME CORPUS [libFuzzer's flags]``.

The seeds of the target are written into the corpus first. It ends with a code other than 0 where an input breaks the target; the
input is then in the corpus's folder, as libFuzzer names it (``crash-...``).
"""

from __future__ import annotations

import hashlib
import sys
import warnings
from pathlib import Path

import atheris  # type: ignore[import-untyped,unused-ignore]  # it ships no types

sys.path.insert(0, str(Path(__file__).parent))
warnings.simplefilter("ignore")  # of our dependencies, which are read anew here

with atheris.instrument_imports(include=["holdfast"], enable_loader_override=False):
    import fuzz_targets  # noqa: F401  # it registers them; what it imports for its seeds has to be instrumented too

from fuzzing import TARGETS, checked  # noqa: E402


def main(name: str, corpus: str, *flags: str) -> None:
    """Fuzzes until a flag says enough."""
    target = TARGETS[name]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds:
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    words = folder.with_suffix(".words")
    words.write_text(
        "".join(f'"{_quoted(word)}"\n' for word in (*target.words, b"\0") if word)
    )  # an empty file is an error
    with atheris.instrument_imports(include=["holdfast"], enable_loader_override=False):
        run = target.prepare()

    def one(data: bytes) -> None:
        checked(name, run, data)

    limits = [
        "-timeout=20",
        "-rss_limit_mb=1500",
        "-malloc_limit_mb=600",
        f"-artifact_prefix={folder}/",
        f"-dict={words}",
    ]
    atheris.Setup([sys.argv[0], *limits, *flags, str(folder)], one)
    atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(*sys.argv[1:])
