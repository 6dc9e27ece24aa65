"""Every error has a kind of problem, and the documentation names every kind."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.errors import HoldfastError, StoreUnavailable
from holdfast.server.problems import INTERNAL, KINDS_OF_ERRORS, OWN_KINDS, Kind, Refused, kind_of, problem_of
from holdfast.server.replies import shown_problem

DOCS = Path(__file__).parent.parent.parent / "docs" / "http-api.md"
ERRORS = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, HoldfastError)]
OUR_FAULT = {
    "HoldfastError",
    "ConfigError",
    "UnknownScheme",
    "MissingExtra",
    "ServerUnsuitable",
    "StepMisuse",
    "SignalTimeout",
    "ExamplesUnusable",
}
ARGUMENTS = {
    "TurnFinished": (None,),
    "TurnFailed": ("secret words", None),
    "TurnParked": ("secret words", "t-1", "approval", 5.0),
    "ModelError": ("secret words", "empty"),
    "EmbeddingError": ("secret words", "why"),
    **dict.fromkeys(
        ("UnreadableDocument", "UnsupportedDocument", "EncryptedDocument", "EmptyDocument"), ("secret words", "why")
    ),
}


def _raised(error: type[HoldfastError]) -> HoldfastError:
    return error(*ARGUMENTS.get(error.__name__, ("secret words",)))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_kind(error: type[HoldfastError]) -> None:
    kind = kind_of(_raised(error))
    assert 400 <= kind.status < 600
    assert (kind is INTERNAL) == (error.__name__ in OUR_FAULT)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_words_of_a_fault_are_not_told(error: type[HoldfastError]) -> None:
    problem = problem_of(_raised(error), instance="/x", turn_id="t-1")
    assert problem.status < 500 or "secret words" not in problem.detail
    assert problem.detail


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.SessionNotFound, 404),
        (errors.SessionGone, 410),
        (errors.TurnMismatch, 422),
        (errors.TurnBusy, 409),
        (errors.QueueTimeout, 409),
        (errors.StoreUnavailable, 503),
        (errors.StoreClosed, 503),
        (errors.StoreTimeout, 503),
        (errors.OutcomeUnknown, 503),
        (errors.StoreFull, 503),
        (errors.CorruptRecord, 500),
        (errors.InvalidId, 422),
        (errors.LimitExceeded, 422),
        (errors.WrongUser, 403),
        (errors.TurnFailed, 500),
        (errors.TurnParked, 409),
    ],
)
def test_the_status_of_those_to_plan_for(error: type[HoldfastError], status: int) -> None:
    assert kind_of(_raised(error)).status == status


def test_what_may_be_sent_again_says_when() -> None:
    again = {kind.slug for kind in _kinds() if kind.retry_after}
    assert {"store-unavailable", "outcome-unknown", "turn-busy", "queue-timeout", "overloaded", "draining"} <= again


def test_an_outcome_that_is_unknown_says_how_to_learn_it() -> None:
    assert "same Idempotency-Key" in problem_of(errors.OutcomeUnknown("?")).detail


def test_an_error_of_somebody_elses_is_internal() -> None:
    assert problem_of(ValueError("secret words")).detail == INTERNAL.detail
    assert problem_of(Refused(INTERNAL)).status == 500


def test_a_kind_has_one_meaning() -> None:
    by_slug: dict[str, int] = {}
    for kind in _kinds():
        assert by_slug.setdefault(kind.slug, kind.status) == kind.status


@pytest.mark.parametrize("slug", sorted({kind.slug for kind in (*KINDS_OF_ERRORS.values(), *OWN_KINDS)}))
def test_the_documentation_names_it(slug: str) -> None:
    assert f"`{slug}`" in DOCS.read_text()


def _kinds() -> list[Kind]:
    return [*KINDS_OF_ERRORS.values(), *OWN_KINDS]


def test_a_store_that_says_when_is_asked_then() -> None:
    error = StoreUnavailable("silent")
    assert _retry_after(error) == "2"
    error.retry_after = 0.4
    assert _retry_after(error) == "1"
    error.retry_after = 7.0
    assert _retry_after(error) == "7"


def _retry_after(error: StoreUnavailable) -> str:
    return shown_problem(problem_of(error), error).headers["Retry-After"]
