"""``holdfast nlu``: how well intents are understood, measured on labelled sentences, and single sentences tried out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from holdfast.cli.options import Debug, Json
from holdfast.cli.output import cell, console, print_json
from holdfast.cli.progress import Progress
from holdfast.errors import ExamplesUnusable
from holdfast.understanding import IntentModel
from holdfast.understanding.intents.evaluating import Evaluation, evaluate
from holdfast.understanding.intents.rows import LabelledRow, rows_of

app = typer.Typer(name="nlu", help="Understanding: intents from example sentences.", no_args_is_help=True)

TrainFile = Annotated[
    Path,
    typer.Option(
        "--train", metavar="FILE", show_default=False, help="Examples, CSV with the columns text and category."
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", show_default=False, help="Keep trained models here, and use them again."),
]


@app.command("eval")
def eval_(
    train: TrainFile,
    test: Annotated[
        Path,
        typer.Option("--test", metavar="FILE", show_default=False, help="What to measure on, in the same form."),
    ],
    per_intent: Annotated[
        int | None,
        typer.Option(
            "--per-intent", min=1, metavar="N", show_default=False, help="Train on N examples of each intent."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Which examples and intents chance takes.")] = 0,
    leave_out: Annotated[
        int | None,
        typer.Option(
            "--leave-out",
            min=0,
            metavar="N",
            show_default=False,
            help="Measure what is out of scope with N intents left out (else 10, if there are 20 and no rows of the category oos).",
        ),
    ] = None,
    cache: Cache = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train on one file, measure on another. The category ``oos`` marks sentences that belong to no intent."""
    train_rows, test_rows = _rows(train), _rows(test)
    with _Bars() as bars:
        found = evaluate(
            train_rows, test_rows, per_intent=per_intent, seed=seed, leave_out=leave_out, cache=cache, tell=bars.tell
        )
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for name, value in _lines(found):
        print(f"{name:<36}{value}")
    if found.confused:
        print()
        table = Table("intent", "taken for", "times", box=None, pad_edge=False)
        for pair in found.confused:
            table.add_row(cell(pair.intent), cell(pair.taken_for), str(pair.times))
        console().print(table)


@app.command()
def predict(
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", show_default=False, help="Sentences, each in quotes.")
    ],
    train: TrainFile,
    cache: Cache = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train on a file, and tell which intent each sentence has."""
    pairs = [(row.text, row.category) for row in _rows(train)]
    with _Bars() as bars:
        model = IntentModel.train(pairs, cache=cache, progress=lambda done, total: bars.tell("training", done, total))
    predictions = model.predict(texts)
    if as_json:
        built = [{"text": text, **msgspec.to_builtins(each)} for text, each in zip(texts, predictions, strict=True)]
        print_json({"threshold": model.threshold, "predictions": built})
        return
    table = Table("text", "intent", "score", "ranked", box=None, pad_edge=False)
    for text, each in zip(texts, predictions, strict=True):
        ranked = ", ".join(f"{intent} {share:.2f}" for intent, share in each.ranked[:3])
        table.add_row(cell(text), cell(each.intent or "-"), f"{each.score:.2f}", cell(ranked))
    console().print(table)
    print(f"\nscores under {model.threshold:.2f} have no intent")


class _Bars(ExitStack):
    """A progress bar for what is being done, another when something else is."""

    def __init__(self) -> None:
        super().__init__()
        self._what = ""
        self._bar: Progress | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        """See `holdfast.understanding.intents.evaluating.Tell`."""
        if what != self._what or self._bar is None:
            self.close()
            self._what, self._bar = what, self.enter_context(Progress(what, total))
        self._bar.at(done)


def _rows(path: Path) -> list[LabelledRow]:
    try:
        return rows_of(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise ExamplesUnusable(f"there is no file {path}") from error


def _lines(found: Evaluation) -> list[tuple[str, str]]:
    how = f" ({len(found.left_out)} intents left out)" if found.left_out else ""
    return [
        ("training examples / intents", f"{found.train_examples} / {found.intents}"),
        ("test examples / out of scope", f"{found.test_examples} / {found.out_of_scope_examples}{how}"),
        ("accuracy", f"{found.accuracy:.3f}"),
        ("macro F1", f"{found.macro_f1:.3f}"),
        ("out of scope: AUROC", _share(found.auroc)),
        ("out of scope: refused", _share(found.rejection_rate)),
        ("in scope: refused", f"{found.false_rejection_rate:.3f}"),
        ("threshold", f"{found.threshold:.3f}"),
        ("training", f"{found.train_seconds:.1f} s"),
        ("predictions a second", f"{found.predictions_per_second:.0f}"),
        ("prediction p50 / p99", f"{found.p50_ms:.2f} / {found.p99_ms:.2f} ms"),
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
