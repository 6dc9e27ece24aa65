"""A rolling summary of what is older than the messages that a model sees, made after turns, never in one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from holdfast.assistant.contract import Prompt
from holdfast.assistant.extracts import extract
from holdfast.assistant.masking import Masker
from holdfast.assistant.models.asking import Asker
from holdfast.assistant.models.tokens import cut_to
from holdfast.assistant.untrusted import NOTICE, fence_around, fenced, plain
from holdfast.config import Language, MemorySection
from holdfast.errors import HoldfastError, SessionNotFound, TurnConflict
from holdfast.sessions.session import Session
from holdfast.turns.store import TurnStore

KEY: Final = "_summary"
"""The state key: ``text``, and ``upto``: how many messages, from the session's first on, it stands for."""

_log: Final = logging.getLogger(__name__)
_PAGE: Final = 100
"""Messages that one summary takes in at the most; the rest has its turn after the next turn."""
_MESSAGE_TOKENS: Final = 200
_INSTRUCTIONS: Final[Mapping[Language, str]] = {
    "zh": (
        "你要为一段客服对话维护摘要。把已有摘要和新的消息合并成一份新的摘要，用简体中文，不超过 {tokens} 个词。保留用户的目标、"
        "已确认的事实、数字、单号、决定和还没解决的问题；不要添加对话里没有的内容。只输出摘要。"
    ),
    "en": (
        "You keep the summary of a customer's conversation. Merge the summary so far and the new messages into one new summary, in "
        "English, of at most {tokens} words. Keep what the user wants, facts that were settled, numbers, decisions, and what is "
        "still open; add nothing that was not said. Answer with the summary only."
    ),
}


class Summary(msgspec.Struct, frozen=True):
    """What the first ``upto`` messages of a session said."""

    text: str
    upto: int


def summary_of(state: Mapping[str, Any]) -> Summary | None:
    """The session's summary, if it has one that can be read."""
    try:
        return msgspec.convert(state.get(KEY), Summary)
    except msgspec.ValidationError:
        return None


class Summaries:
    """Makes them: by the model where there is one, else from the sentences that were said.

    A summary is written only if the session is still the one that it was made from, and nobody has written another meanwhile: two
    nodes that make one at once leave one. One that is lost with its node is made after the next turn.
    """

    def __init__(self, settings: MemorySection, masker: Masker, asker: Asker | None = None) -> None:
        self._settings = settings
        self._masker = masker
        self._asker = asker if settings.summary == "auto" else None
        self._busy: set[tuple[str, str]] = set()

    async def after(self, store: TurnStore, session_id: str) -> None:
        """Summarises what a session has too much of. A failure is logged."""
        key = (store.settings.tenant, session_id)
        if not self._settings.summary_after or key in self._busy:
            return
        self._busy.add(key)
        try:
            await self._renewed(store, session_id)
        except (TurnConflict, SessionNotFound):
            pass  # another node was faster, or the session has ended
        except HoldfastError as error:
            _log.warning("session %s: no summary was made: %s", session_id, error)
        finally:
            self._busy.discard(key)

    async def _renewed(self, store: TurnStore, session_id: str) -> None:
        session = await store.load(session_id, tail=0)
        if session is None:
            return
        before = summary_of(session.state)
        start = before.upto if before else 0
        upto = session.total - self._settings.summary_keep
        if upto - start < self._settings.summary_after:
            return
        page = await store.read_log(session_id, start=start, limit=min(_PAGE, upto - start))
        if page.start != start:
            start = page.start
        known = self._masker.known(session.state)
        said = [
            (message.role, self._masker.replaced(message.content, known, detect=True))
            for message in page.messages
            if message.content and message.role in ("user", "assistant", "tool")
        ]
        text = await self._text(store, session, before.text if before else "", said)
        if text:
            session.state[KEY] = {
                "text": self._masker.replaced(text, known, detect=True),
                "upto": start + len(page.messages),
            }
            await store.save(session)

    async def _text(self, store: TurnStore, session: Session, before: str, said: Sequence[tuple[str, str]]) -> str:
        language: Language = "en" if session.state.get("language") == "en" else "zh"
        asker = self._asker
        if asker is not None and await asker.spending.may(session, store.settings.tenant):
            prompts = _prompts(before, said, language, self._settings.summary_tokens)
            asked = await asker.ask(None, prompts, timeout=self._settings.timeout)
            what = f"{session.id}:{session.total}"
            await asker.spending.enter(store.settings.tenant, session.user, what, asked.tokens)
            if not asked.failed:
                return cut_to(asked.text.strip(), self._settings.summary_tokens)
        return extract(before, said, language, self._settings.summary_tokens)


def _prompts(before: str, said: Iterable[tuple[str, str]], language: Language, tokens: int) -> list[Prompt]:
    lines = [f"{role}: {' '.join(plain(cut_to(text, _MESSAGE_TOKENS)).split())}" for role, text in said]
    parts = [f"Summary so far:\n{fenced(before, 'conversation')}"] if before else []
    parts.append("Messages:\n" + fence_around("\n".join(lines), "conversation"))
    rules = f"{_INSTRUCTIONS[language].format(tokens=tokens // 2)} {NOTICE[language]}"
    return [Prompt("system", rules), Prompt("user", "\n\n".join(parts))]
