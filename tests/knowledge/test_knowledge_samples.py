"""The knowledge base that ships with the project: questions on it have exact answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import holdfast
from holdfast.knowledge import KnowledgeIndex, add, answer

SAMPLES = Path(holdfast.__file__).parent / "samples" / "knowledge"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def samples(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KnowledgeIndex]:
    async with await KnowledgeIndex.open(tmp_path_factory.mktemp("samples") / "x.db", write=True) as index:
        report = await add(index, [SAMPLES])
        assert report.skipped == []
        assert len(report.added) == 17
        yield index


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("question", "answered"),
    [
        ("How long does express delivery take?", "1 to 2 working days"),
        ("Can I return earplugs?", "earplugs, for reasons of hygiene"),
        ("How much is a new sole for hiking boots?", "$62.00"),
        ("When do points expire?", "24 months"),
        ("What are the telephone opening hours on Saturday?", "9 am to 4 pm"),
        ("How often should I wax leather boots?", "every 8 to 10 tours"),
        ("Do you accept cash on delivery?", "We do not accept cash on delivery"),
        ("How long is the gift card valid?", "5 years"),
        ("I forgot my pasword", "Forgot password"),
        ("运费多少钱？", "运费：8 元"),
        ("新疆可以送吗，要多少天？", "多 3 天"),
        ("微信支付的退款几天到账？", "1 天以内"),
        ("发票抬头写错了怎么办？", "重开一次"),
        ("积分什么时候过期？", "两年内有效"),
        ("礼品卡丢了怎么办？", "挂失"),
        ("帐篷保修多久？", "保修 5 年"),
        ("怎么注销账户？", "15 天的冷静期"),
    ],
)
async def test_the_answer_is_quoted(samples: KnowledgeIndex, question: str, answered: str) -> None:
    found = await answer(samples, question)
    assert found.relevant
    assert answered in found.quotes[0].text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "Who won the world cup?",
        "How do I cook lasagna?",
        "谁是美国总统？",
        "今天天气怎么样？",
    ],
)
async def test_foreign_questions_find_nothing(samples: KnowledgeIndex, question: str) -> None:
    assert not (await answer(samples, question)).relevant
