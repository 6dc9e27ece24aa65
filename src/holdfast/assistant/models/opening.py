"""The configured model."""

from __future__ import annotations

from holdfast.assistant.contract import Model
from holdfast.assistant.models.chain import ModelChain
from holdfast.assistant.models.endpoint import OpenAIModel
from holdfast.config import ModelSection
from holdfast.errors import MissingExtra


def open_model(settings: ModelSection) -> Model | None:
    """One endpoint, or several; None where there is none. Raises `MissingExtra` where their SDK is not installed."""
    from importlib.util import find_spec

    if not settings.configured:
        return None
    if find_spec("openai") is None:
        raise MissingExtra('a language model needs the openai package: pip install "holdfast[model]"')
    models = [OpenAIModel(endpoint) for endpoint in settings.endpoints]
    if len(models) == 1:
        return models[0]
    return ModelChain(models, cooldown=settings.cooldown, max_chars=settings.max_chars)
