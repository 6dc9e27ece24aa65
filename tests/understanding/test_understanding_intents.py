"""Intents from a few examples, Chinese and English, with typing errors; what is none; the cache."""

from __future__ import annotations

import builtins
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import ExamplesUnusable, MissingExtra
from holdfast.understanding import IntentModel, Prediction
from holdfast.understanding.intents.classifier import name_words
from holdfast.understanding.intents.features import Features, normal, pieces, words
from holdfast.understanding.intents.threshold import chosen_threshold

SENTENCES = {
    "track_order": "我的快递到哪了|查一下物流|包裹什么时候能送到|订单发货了没有|怎么还没收到货|帮我看看快递"
    "|where is my parcel|track my order|when will my package arrive|has my order been shipped|I have not received my parcel"
    "|delivery status please",
    "refund": "我要退款|怎么申请退货|把钱退给我|不想要了能退吗|退款多久到账|商品坏了我要退"
    "|I want my money back|how do I get a refund|return this item|refund please|the product is broken, I want to return it"
    "|cancel the purchase and pay me back",
    "invoice": "开一张发票|发票怎么开|能开增值税专用发票吗|电子发票发到哪里|补开发票|发票抬头写错了"
    "|I need an invoice|send me the receipt|how can I get a VAT invoice|invoice for my company|the invoice has the wrong name"
    "|download the receipt",
    "human": "转人工|我要找客服|有没有真人|接人工客服|不想跟机器人聊|叫你们经理来"
    "|talk to a human|I want a real person|connect me to an agent|customer service please|let me speak to your manager"
    "|no more bots",
    "address": "改一下收货地址|地址填错了|送到公司可以吗|换个收件地址|修改收件人|收货地址要更新"
    "|change my delivery address|I typed the wrong address|ship it to my office instead|update the address"
    "|the address is wrong|new shipping address",
}
STRANGE = [
    "今天天气怎么样", "给我讲个笑话", "北京到上海多远", "播放一首歌",
    "what is the weather like", "tell me a joke", "who won the match", "2 plus 2",
]  # fmt: skip
EXAMPLES = [(text, intent) for intent, texts in SENTENCES.items() for text in texts.split("|")]


@pytest.fixture(scope="module")
def model() -> IntentModel:
    return IntentModel.train(EXAMPLES)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("我的包裹到哪里了", "track_order"),
        ("快递还没送到", "track_order"),
        ("wheres my parcle", "track_order"),
        ("我想退货退款", "refund"),
        ("refnd my money", "refund"),
        ("给我开发票", "invoice"),
        ("need a reciept", "invoice"),
        ("人工客服", "human"),
        ("can I speak with a real human", "human"),
        ("收货地址写错了", "address"),
        ("chnage the adress", "address"),
        ("ＴＲＡＣＫ　ＭＹ　ＯＲＤＥＲ", "track_order"),
    ],
)
def test_what_was_meant(model: IntentModel, text: str, intent: str) -> None:
    assert model.predict([text])[0].intent == intent


def test_strange_sentences_score_low_and_mostly_have_no_intent(model: IntentModel) -> None:
    predictions = model.predict(STRANGE)
    assert sum(not each.intent for each in predictions) >= len(STRANGE) / 2
    assert all(each.score < 0.5 for each in predictions)


@pytest.mark.parametrize("text", ["", " ", "！？", "🙂", "x" * 100_000])
def test_what_says_nothing_has_no_intent(model: IntentModel, text: str) -> None:
    prediction = model.predict([text])[0]
    assert prediction.intent == ""
    assert len(prediction.ranked) == 5
    assert sum(share for _, share in prediction.ranked) == pytest.approx(1, abs=1e-5)


def test_a_score_is_between_0_and_1_and_an_example_itself_is_near_1(model: IntentModel) -> None:
    scores = [each.score for each in model.predict([text for text, _ in EXAMPLES])]
    assert all(0 <= score <= 1 for score in scores)
    assert min(scores) > model.threshold


def test_out_of_scope_examples_raise_the_threshold(model: IntentModel) -> None:
    with_strange = IntentModel.train([*EXAMPLES, *((text, "oos") for text in STRANGE)])
    assert "oos" not in with_strange.intents
    assert with_strange.threshold > model.threshold
    assert sum(not each.intent for each in with_strange.predict(STRANGE)) >= len(STRANGE) - 2
    assert IntentModel.train(EXAMPLES, threshold=0.25).threshold == 0.25


def test_two_intents_of_one_example_each_are_enough() -> None:
    small = IntentModel.train([("where is my parcel", "a"), ("我要退款", "b")])
    assert [each.ranked[0][0] for each in small.predict(["where is it", "退款"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "at least two"),
        ([("a", "x"), ("b", "x")], "at least two"),
        ([("a", "x"), ("b", "oos")], "at least two"),
        ([("a", "x"), (" ", "y")], "example 2 has no text"),
        ([("a", "x"), ("b", "")], "example 2 has no intent"),
    ],
)
def test_examples_that_cannot_be_used(examples: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ExamplesUnusable, match=message):
        IntentModel.train(examples)


def test_the_order_of_the_examples_decides_nothing(model: IntentModel) -> None:
    shuffled = random.Random(1).sample(EXAMPLES, len(EXAMPLES))
    other = IntentModel.train(shuffled)
    texts = [*STRANGE, "退款", "parcel"]
    assert other.predict(texts) == model.predict(texts)
    assert other.threshold == model.threshold


def test_progress_goes_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    IntentModel.train(EXAMPLES[:24], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(6)]


# --- the cache ---


def count_trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from holdfast.understanding.intents import classifier

    times: list[int] = []
    trained = classifier.Classifier.trained

    def counted(pairs: list[tuple[str, str]]) -> classifier.Classifier:
        times.append(1)
        return trained(pairs)

    monkeypatch.setattr(classifier.Classifier, "trained", counted)
    return times


def test_a_model_is_trained_once(tmp_path: Path, model: IntentModel, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = count_trainings(monkeypatch)
    IntentModel.train(EXAMPLES, cache=tmp_path / "new" / "folder")
    first = len(trainings)
    again = IntentModel.train(EXAMPLES[::-1], cache=tmp_path / "new" / "folder")
    assert first == 5
    assert len(trainings) == first
    assert again.predict([*STRANGE, "退款", "parcel"]) == model.predict([*STRANGE, "退款", "parcel"])
    assert again.threshold == model.threshold
    IntentModel.train(EXAMPLES[1:], cache=tmp_path / "new" / "folder", threshold=0.1)
    assert len(trainings) == first + 1
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2


def test_a_kept_model_needs_no_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2)
    importing = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("sklearn", "scipy"):
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2).predict(["我要退款"])[0].intent == "refund"
    with pytest.raises(MissingExtra, match=r"holdfast\[nlu\]"):
        IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.3)


def test_a_damaged_file_is_trained_anew(tmp_path: Path, model: IntentModel, monkeypatch: pytest.MonkeyPatch) -> None:
    IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    trainings = count_trainings(monkeypatch)
    middle = len(whole) // 2
    damaged = [
        b"",
        b"nonsense",
        whole[:middle],
        whole[:-30],
        whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    ]
    for times, content in enumerate(damaged, 1):
        file.write_bytes(content)
        rebuilt = IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2)
        assert rebuilt.predict(["我要退款"])[0].ranked == model.predict(["我要退款"])[0].ranked
        assert len(trainings) == times
        assert file.read_bytes() != content
    IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2)
    assert len(trainings) == len(damaged)


def test_a_file_of_pickles_is_never_loaded(tmp_path: Path) -> None:
    IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2)
    (file,) = tmp_path.iterdir()
    with np.load(file, allow_pickle=False) as kept:
        arrays = dict(kept)
    assert all(array.dtype != object for array in arrays.values())
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (touched,))

    arrays["weights"] = np.array([Evil()], dtype=object)
    np.savez(file, **arrays)
    assert IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2).predict(["我要退款"])[0].intent == "refund"
    assert not touched.exists()


def test_arrays_that_do_not_fit_together_are_trained_anew(tmp_path: Path) -> None:
    IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2)
    (file,) = tmp_path.iterdir()
    with np.load(file, allow_pickle=False) as kept:
        arrays = dict(kept)
    for name, array in {**arrays, "weights": arrays["weights"] * np.float32("nan")}.items():
        spoilt = array if name == "weights" else array[:-1]
        np.savez(file, **{**arrays, name: spoilt})
        assert IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2).predict(["我要退款"])[0].intent == "refund"


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    made: list[IntentModel] = []
    threads = [
        threading.Thread(target=lambda: made.append(IntentModel.train(EXAMPLES, cache=tmp_path, threshold=0.2)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(each.predict(STRANGE)) for each in made}) == 1
    assert [file.suffix for file in tmp_path.iterdir()] == [".npz"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert IntentModel.train(EXAMPLES, cache=file, threshold=0.2).intents
    assert "will be trained again" in caplog.text


# --- the parts ---


def test_features_weigh_as_scikit_learns_tf_idf() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [normal(text) for text, _ in EXAMPLES]
    features = Features.of(texts)
    first = 0
    for place, (split, weight) in enumerate(((words, 0.6), (pieces, 1.0))):
        theirs = TfidfVectorizer(analyzer=split, sublinear_tf=True).fit(texts)
        columns = features.columns[place]
        for text in (texts[0], texts[20], "where where is 我的 parcel"):
            row = features.row(text)
            ours = {column - first: value for column, value in zip(row.columns, row.values, strict=True)}
            expected = theirs.transform([text])
            length = (0.36 + 1) ** 0.5
            for feature, column in theirs.vocabulary_.items():
                assert ours.get(columns[feature], 0.0) == pytest.approx(expected[0, column] * weight / length, abs=1e-6)
        first += len(columns)


def test_new_words_make_a_sentence_less_known() -> None:
    features = Features.of(["where is my parcel", "refund please"])
    assert features.row("where is my parcel").known == pytest.approx(1)
    assert 0 < features.row("where is my zebra").known < 1
    assert features.row("ζζζ").known < 0.4
    assert features.row("").known == 0


def test_chinese_needs_no_blanks() -> None:
    assert words("退款ok吗") == ["退", "款", "ok", "吗", "退 款", "款 ok", "ok 吗"]
    assert normal("ＡＢ　１２３４５") == "ab 0"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("card_arrival", "card arrival"),
        ("cardArrival", "card arrival"),
        ("a-b.c", "a b c"),
        ("退款", "退款"),
        ("17", ""),
    ],
)
def test_a_name_as_words(name: str, expected: str) -> None:
    assert name_words(name) == expected


def test_thresholds() -> None:
    assert chosen_threshold([], [0.5]) == 0
    assert chosen_threshold([0.4, 0.6, 0.8, 0.9], [0.1, 0.2, 0.3]) == 0.4
    assert chosen_threshold([0.1 * step for step in range(1, 101)], []) == pytest.approx(0.6)
    overlapping = chosen_threshold([0.01 * step for step in range(100)], [0.99] * 50)
    assert overlapping == 0, "no threshold helps: accept everything"
    assert chosen_threshold([0.01 * step for step in range(100)], [0.8] * 50) <= 0.2


def test_predictions_are_plain_values(model: IntentModel) -> None:
    (prediction,) = model.predict(["refund please"])
    assert type(prediction) is Prediction
    assert type(prediction.score) is float
    assert all(type(intent) is str and type(share) is float for intent, share in prediction.ranked)
