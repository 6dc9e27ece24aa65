"""``[model]``: the endpoints that are asked, in order, and what may be spent on them."""

from __future__ import annotations

from pydantic import Field, SecretStr

from holdfast.config.fields import Seconds, Section


class FallbackSection(Section):
    """``[[model.fallbacks]]``: another endpoint, asked where those before it fail. What it leaves out is as in ``[model]``.

    The key is only taken over together with the URL: another server never gets a key that was not meant for it.
    """

    name: str | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None
    timeout: Seconds | None = None
    idle: Seconds | None = None


class BudgetSection(Section):
    """``[model.budget]``: tokens of prompts and answers together; none is no limit.

    Attributes:
        session_tokens: of one session. user_tokens: of all sessions of one user; it costs each turn that asks the model a write.
        per: the time that they are for; a new one begins every so often, for everybody at once.
    """

    session_tokens: int | None = Field(default=None, ge=1)
    user_tokens: int | None = Field(default=None, ge=1)
    per: Seconds = 86_400.0


class ModelSection(Section):
    """``[model]``: an OpenAI-compatible endpoint; without ``base_url`` and ``api_key`` there is no model.

    Attributes:
        base_url, api_key: also from OPENAI_BASE_URL and OPENAI_API_KEY.
        timeout: seconds for a whole answer. idle: seconds without a further piece of it (the first one too).
        max_tokens: asked of the model. max_chars: what is taken of an answer, whatever the model sends.
        retries: of a request that failed before its first piece, at the same endpoint.
        fallbacks: further endpoints. cooldown: seconds that one which failed is left aside.
        understanding_below: where the words' meaning is asked of the model too (``understanding = [..., "model"]``), it is asked
            unless an intent is at least this certain.
    """

    base_url: str | None = None
    api_key: SecretStr | None = None
    name: str = "gpt-4o-mini"
    timeout: Seconds = 60.0
    idle: Seconds = 20.0
    max_tokens: int = Field(default=800, ge=1)
    max_chars: int = Field(default=8_000, ge=100)
    temperature: float | None = Field(default=None, ge=0, le=2)
    retries: int = Field(default=0, ge=0, le=5)
    fallbacks: tuple[FallbackSection, ...] = ()
    cooldown: Seconds = 30.0
    understanding_below: float = Field(default=0.8, ge=0, le=1)
    budget: BudgetSection = BudgetSection()

    @property
    def configured(self) -> bool:
        """Whether there is an endpoint to ask."""
        return bool(self.base_url or self.api_key)

    @property
    def endpoints(self) -> tuple[ModelSection, ...]:
        """Each endpoint's own settings, in the order in which they are asked."""
        first = self.model_copy(update={"fallbacks": ()})
        return (first, *(first.model_copy(update=_changes(fallback)) for fallback in self.fallbacks))

    @property
    def longest(self) -> float:
        """Seconds after which an answer has come, or no endpoint has one."""
        return sum(endpoint.timeout for endpoint in self.endpoints)


def _changes(fallback: FallbackSection) -> dict[str, object]:
    given = {name: value for name in FallbackSection.model_fields if (value := getattr(fallback, name)) is not None}
    return {"api_key": None, **given} if fallback.base_url is not None else given
