"""``holdfast nlu``."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import cli

from holdfast.understanding.intents.evaluating import auroc, macro_f1

TRAIN = """text,category
where is my parcel,tracking
where is my order now,tracking
track my package,tracking
我的快递到哪了,tracking
I want a refund,refund
give me my money back,refund
"refund, please",refund
我要退款,refund
talk to a human,human
转人工,human
connect me to an agent,human
real person please,human
"""
TEST = """note,category,text
x,tracking,where is the package
x,refund,money back please
x,human,找人工

x,oos,what is the weather
x,oos,唱首歌
"""


@pytest.fixture
def train(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text(TRAIN)
    return path


@pytest.fixture
def test(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    path.write_bytes(b"\xef\xbb\xbf" + TEST.replace("\n", "\r\n").encode())
    return path


def test_figures_as_json(train: Path, test: Path) -> None:
    ran = cli("nlu", "eval", "--train", train, "--test", test, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.document
    assert set(found) == {
        "train_examples", "test_examples", "intents", "out_of_scope_examples", "per_intent", "seed", "left_out", "accuracy",
        "macro_f1", "auroc", "threshold", "rejection_rate", "false_rejection_rate", "train_seconds", "predictions_per_second",
        "p50_ms", "p99_ms", "confused",
    }  # fmt: skip
    assert (found["train_examples"], found["test_examples"], found["intents"]) == (12, 3, 3)
    assert (found["out_of_scope_examples"], found["left_out"]) == (2, [])
    assert found["accuracy"] == found["macro_f1"] == found["auroc"] == 1
    assert found["confused"] == []


def test_figures_for_people(train: Path, test: Path) -> None:
    ran = cli("nlu", "eval", "--train", train, "--test", test, "--per-intent", 2, "--seed", 3)
    assert ran.code == 0
    assert "training examples / intents         6 / 3" in ran.out
    assert "accuracy" in ran.out


def test_leaving_intents_out(train: Path, tmp_path: Path) -> None:
    ran = cli("nlu", "eval", "--train", train, "--test", train, "--leave-out", 1, "--json")
    assert ran.code == 0
    assert len(ran.document["left_out"]) == 1
    assert ran.document["out_of_scope_examples"] == 4
    assert ran.document["auroc"] > 0.8
    ran = cli("nlu", "eval", "--train", train, "--test", train, "--json")
    assert (ran.document["left_out"], ran.document["auroc"], ran.document["rejection_rate"]) == ([], None, None)
    ran = cli("nlu", "eval", "--train", train, "--test", train, "--leave-out", 2)
    assert (ran.code, "two have to stay" in ran.err) == (1, True)


def test_a_model_is_kept(train: Path, tmp_path: Path) -> None:
    for _ in range(2):
        ran = cli(
            "nlu", "predict", "--train", train, "--cache", tmp_path / "kept", "wher is my parcl", "退款", "--json"
        )
        first, second = ran.document["predictions"]
        assert (first["intent"], second["intent"]) == ("tracking", "refund")
        assert first["ranked"][0][0] == "tracking"
    assert len(list((tmp_path / "kept").iterdir())) == 1
    assert "tracking" in cli("nlu", "predict", "--train", train, "--cache", tmp_path / "kept", "where is my parcel").out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "train.csv, line 1: the file is empty"),
        (b"text,label\na,b\n", "train.csv, line 1: no column category in the header (found: text, label)"),
        (b"a,b\n", "no column text and category"),
        (b"text,category\n", "there are no rows"),
        (b"text,category\na,x\n,x\n", "train.csv, line 3: the text is empty"),
        (b"text,category\na,x\nb\n", "train.csv, line 3: the category is empty"),
        (b'text,category\n"a\nb",x\n  ,x\n', "train.csv, line 4: the text is empty"),
        (b'text,category\n"a"b,x\n', "train.csv, line 2:"),
        (b"text,category\na,x\n\xd6\xd0,y\n", "train.csv, line 3: not UTF-8"),
        (b"text,category\na,tracking\nb,tracking\n", "at least two"),
        (b"text,category\na,x\nb,y\n", "line 2: no training example has the category tracking"),
    ],
)
def test_files_that_cannot_be_used(train: Path, test: Path, content: bytes, message: str) -> None:
    train.write_bytes(content)
    ran = cli("nlu", "eval", "--train", train, "--test", test)
    assert ran.code == 1
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_file_that_is_not_there(train: Path, tmp_path: Path) -> None:
    ran = cli("nlu", "eval", "--train", train, "--test", tmp_path / "none.csv", "--json")
    assert ran.code == 1
    assert "ExamplesUnusable" in ran.err


def test_auroc_and_f1_by_hand() -> None:
    assert auroc([0.9, 0.8], [0.1, 0.2]) == 1
    assert auroc([0.5], [0.5]) == 0.5
    assert auroc([0.3, 0.9], [0.5]) == 0.5
    assert auroc([], [0.5]) is None
    assert macro_f1(["a", "a", "b"], ["a", "b", "b"]) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert macro_f1(["a", "b"], ["a", "c"]) == 0.5
