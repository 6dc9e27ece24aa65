"""The factories of the parts that Holdfast brings; the first line of each is what ``holdfast parts ls`` says of it."""

from __future__ import annotations

from pathlib import Path

from holdfast.assistant.agent.policy import Agent
from holdfast.assistant.answering import WrittenAnswer
from holdfast.assistant.contract import Answer, Documents, Memory, Model, Policy, Tools, Understand
from holdfast.assistant.flow_catalogue import FlowsTold
from holdfast.assistant.flows.policy import FlowPolicy
from holdfast.assistant.from_documents import FromDocuments
from holdfast.assistant.handover import ToAPerson
from holdfast.assistant.memory import RecentMemory
from holdfast.assistant.model_answer import ModelAnswer
from holdfast.assistant.models.opening import open_model
from holdfast.assistant.opening_knowledge import documents_of
from holdfast.assistant.parts import Parts
from holdfast.assistant.small_talk import SmallTalk
from holdfast.assistant.summaries import Summaries
from holdfast.assistant.tool_functions import FunctionTools
from holdfast.assistant.understanding import RuleUnderstanding
from holdfast.assistant.understanding_by_model import ModelUnderstanding
from holdfast.errors import ConfigError


def openai(parts: Parts) -> Model | None:
    """The endpoint of [model], which speaks OpenAI's protocol; none where nothing is configured."""
    return None if parts.config.assistant.answer == "extractive" else open_model(parts.config.model)


def recent(parts: Parts) -> Memory:
    """A rolling summary, and the last messages, as many as the budget of tokens holds."""
    return RecentMemory(parts.masker, Summaries(parts.config.memory, parts.masker, parts.asker))


def index(parts: Parts) -> Documents | None:
    """The documents of [knowledge], in an index file."""
    return documents_of(parts.config, parts.index)


def functions(parts: Parts) -> Tools:
    """Python functions, their arguments described by their type hints and docstrings."""
    also: dict[str, float | None] = {}
    for task in parts.config.tasks:
        also[task.tool] = max(task.timeout, also.get(task.tool) or 0.0)
    return FunctionTools(parts.config.tools, also=also)


def extractive(parts: Parts) -> Answer:
    """The documents' own sentences, quoted."""
    return WrittenAnswer(None)


def auto(parts: Parts) -> Answer:
    """Written by the model from the passages where there is one, else quoted."""
    return WrittenAnswer(ModelAnswer(parts.asker, parts.config.memory.tokens) if parts.asker is not None else None)


def by_model(parts: Parts) -> Answer:
    """Written by the model from the passages; there has to be one."""
    if parts.model is None:
        raise ConfigError('assistant.answer = "model", and no model is configured: set model.base_url or model.api_key')
    return auto(parts)


def rules(parts: Parts) -> Understand:
    """Word lists, patterns and the flows' triggers, in Chinese and English, offline."""
    return RuleUnderstanding(parts.flows, parts.config.assistant.languages, parts.now)


def handover(parts: Parts) -> Policy:
    """Gives the conversation to a person where the user asks for one."""
    return ToAPerson()


def understanding_by_model(parts: Parts) -> Understand:
    """What the model makes of the words, checked against the flows; asked where those before it are not sure."""
    if parts.asker is None:
        raise ConfigError(
            'assistant.understanding has "model", and no model is configured: set model.base_url or model.api_key'
        )
    return ModelUnderstanding(
        parts.asker,
        FlowsTold(parts.flows),
        parts.masker,
        below=parts.config.model.understanding_below,
        language=parts.config.assistant.languages[0],
    )


def intents(parts: Parts) -> Understand:
    """Intents learned from example sentences, which start flows; offline, in Chinese and English."""
    from holdfast.assistant.understanding_by_intents import IntentUnderstanding, learned  # numpy takes its time

    chosen = parts.config.assistant
    cache = Path(chosen.intents_cache) if chosen.intents_cache else None
    return IntentUnderstanding(learned(parts.flows, chosen.intents, cache), parts.flows)


def flows(parts: Parts) -> Policy:
    """The flows: slots asked for, branches, tools, hand-over."""
    return FlowPolicy(parts.flows)


def agent(parts: Parts) -> Policy:
    """A model that chooses tools, round after round; the user is asked before what changes something."""
    return Agent(parts)


def small_talk(parts: Parts) -> Policy:
    """Greetings and thanks."""
    return SmallTalk([program.flow.title for program in parts.flows.startable])


def documents(parts: Parts) -> Policy:
    """Answers questions from the documents."""
    return FromDocuments()
