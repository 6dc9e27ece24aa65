"""PDFs made by hand, and the real question sets where they are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from holdfast.knowledge.eval import QuestionSet, load

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@lru_cache
def question_set(name: str) -> QuestionSet:
    """A real question set; skips the test where it is not here."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"the question set {name} is not here (looked in {DATA})")
    return load(path)


def make_pdf(pages: list[list[str]], *, encrypted: bool = False, title: str = "") -> bytes:
    """A small valid PDF; ``encrypted``: with a password that nobody knows."""
    objects: dict[int, bytes] = {3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"}
    kids = []
    for i, lines in enumerate(pages):
        number = 4 + 2 * i
        kids.append(f"{number} 0 R")
        content = "\n".join(
            f"BT /F1 11 Tf 72 {780 - 18 * n} Td ({line}) Tj ET" for n, line in enumerate(lines)
        ).encode()
        page = "/Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >>"
        objects[number] = f"<< {page} /Contents {number + 1} 0 R >>".encode()
        objects[number + 1] = b"<< /Length %d >>\nstream\n" % len(content) + content + b"\nendstream"
    objects[1] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[2] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    info, crypt = 4 + 2 * len(pages), 5 + 2 * len(pages)
    objects[info] = f"<< /Title ({title}) >>".encode()
    objects[crypt] = f"<< /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >>".encode()
    out, offsets = b"%PDF-1.4\n", {}
    for number in sorted(objects):
        offsets[number] = len(out)
        out += b"%d 0 obj\n" % number + objects[number] + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (crypt + 1)
    for number in range(1, crypt + 1):
        out += b"%010d 00000 n \n" % offsets[number]
    extra = f"/Encrypt {crypt} 0 R /ID [<{'43' * 16}> <{'43' * 16}>]" if encrypted else ""
    trailer = f"trailer\n<< /Size {crypt + 1} /Root 1 0 R /Info {info} 0 R {extra} >>\nstartxref\n{table}\n%%EOF\n"
    return out + trailer.encode()
