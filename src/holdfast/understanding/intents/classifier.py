"""A trained classifier: columns of numbers, and what they say of a sentence. Needs numpy; training needs scikit-learn."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from holdfast.errors import MissingExtra
from holdfast.understanding.intents.features import Features, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STRENGTH: Final = 10.0
"""Inverse strength of regularisation."""

_MARK: Final = re.compile(r"[^\w]|_")
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MANY: Final = 2_000
_ROUNDS: Final = 100
"""Iterations at most; 10 000 sentences of 77 intents settle after some 60."""


class Verdict(NamedTuple):
    """Shares of the intents (they add up to 1), and how near the sentence is to the best one's nearest example.

    ``nearness`` is their cosine, 0 to 1, where words that no example has count as unlike.
    """

    shares: NDArray[np.float32]
    best: int
    nearness: float


class Classifier:
    """Multinomial logistic regression, and the examples themselves. An intent's name is learned from like an example.

    Attributes:
        intents: by number.
        features: columns.
        weights, bias: float32, columns by intents; a float32 for each intent.
        values, columns, starts: the examples as sparse rows (CSR), those of one intent together.
        firsts: the first row of each intent, and the number of rows.
    """

    def __init__(
        self,
        intents: Sequence[str],
        features: Features,
        arrays: dict[str, NDArray[Any]],
    ) -> None:
        self._numpy = numpy()
        self.intents = tuple(intents)
        self.features = features
        self.arrays = arrays
        self._weights, self._bias = arrays["weights"], arrays["bias"]
        self._values, self._columns = arrays["values"], arrays["columns"]
        self._starts, self._firsts = arrays["starts"], arrays["firsts"]

    @classmethod
    def trained(cls, pairs: Sequence[tuple[str, str]]) -> Classifier:
        """From (text, intent), at least two intents. Raises `MissingExtra`."""
        np = numpy()
        logistic_regression, csr, unfinished = _scikit_learn()
        pairs = sorted(pairs, key=lambda pair: pair[1])
        texts, labels = [text for text, _ in pairs], [intent for _, intent in pairs]
        features = Features.of(texts, least=1 if len(pairs) < _MANY else 2)
        names = {intent: words for intent in dict.fromkeys(labels) if (words := name_words(intent))}
        values, columns, starts = _sparse([*features.rows(texts), *features.rows([*names.values()])])
        matrix = csr((values, columns, starts), shape=(len(starts) - 1, features.count))
        model = logistic_regression(C=_STRENGTH, max_iter=_ROUNDS, tol=1e-4)
        with warnings.catch_warnings(action="ignore", category=unfinished):  # the number of iterations is chosen
            model.fit(matrix, np.asarray([*labels, *names]))
        intents = [str(label) for label in model.classes_]
        weights, bias = model.coef_, model.intercept_
        if len(intents) == 2:  # scikit-learn keeps one line for the two
            weights, bias = np.vstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
        firsts = np.searchsorted(np.asarray(labels), [*intents]).tolist()
        arrays = {
            "weights": np.ascontiguousarray(weights.T, np.float32),
            "bias": np.asarray(bias, np.float32),
            "values": values[: starts[len(labels)]],
            "columns": columns[: starts[len(labels)]],
            "starts": starts[: len(labels) + 1],
            "firsts": np.asarray([*firsts, len(labels)], np.int64),
        }
        return cls(intents, features, arrays)

    def judge(self, row: Row) -> Verdict:
        """What a sentence is; the same for the same row, always."""
        np = self._numpy
        columns, values = np.asarray(row.columns, np.int64), np.asarray(row.values, np.float32)
        sums = values @ self._weights[columns] + self._bias
        powers = np.exp(sums - sums.max())
        shares = powers / powers.sum()
        best = int(shares.argmax())
        return Verdict(shares, best, row.known * self._nearness(columns, values, best))

    def _nearness(self, columns: NDArray[np.int64], values: NDArray[np.float32], intent: int) -> float:
        """The cosine to the nearest example."""
        np = self._numpy
        first, last = int(self._firsts[intent]), int(self._firsts[intent + 1])
        start, end = int(self._starts[first]), int(self._starts[last])
        if start == end or not len(columns):
            return 0.0
        spread = np.zeros(self.features.count, np.float32)
        spread[columns] = values
        products = spread[self._columns[start:end]] * self._values[start:end]
        running = np.concatenate([[0.0], np.cumsum(products, dtype=np.float64)])
        bounds = self._starts[first : last + 1] - start
        return float(min(1.0, max(0.0, (running[bounds[1:]] - running[bounds[:-1]]).max())))


def name_words(intent: str) -> str:
    """``card_arrival``, ``card-arrival`` and ``cardArrival`` as words; "" for a name without any."""
    parted = _HUMP.sub(" ", _MARK.sub(" ", intent)).strip().lower()
    return parted if any(char.isalpha() for char in parted) else ""


def _sparse(rows: Sequence[Row]) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    np = numpy()
    starts = np.cumsum([0, *(len(row.columns) for row in rows)], dtype=np.int64)
    columns = np.fromiter((column for row in rows for column in row.columns), np.int32, starts[-1])
    values = np.fromiter((value for row in rows for value in row.values), np.float32, starts[-1])
    return values, columns, starts


def numpy() -> Any:
    """The library. Raises `MissingExtra`."""
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra('intents need numpy: pip install "holdfast[nlu]"') from error
    return np


def load_libraries() -> None:
    """Imports what training needs, which takes longer than a small training itself. Raises `MissingExtra`."""
    _scikit_learn()


def _scikit_learn() -> tuple[Any, Any, Any]:
    try:
        from scipy.sparse import csr_matrix
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra('training intents needs scikit-learn: pip install "holdfast[nlu]"') from error
    return LogisticRegression, csr_matrix, ConvergenceWarning
