"""Paired comparison of two training tables by repeatedly trained classifiers, tested on the same real rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.common.threads import single_threaded
from tabsynth.common.validation import check_required_integers
from tabsynth.data.table import TableLike
from tabsynth.errors import DataError, SchemaError, quote
from tabsynth.evaluation.inputs import check_inputs
from tabsynth.evaluation.stats.auc import weighted_auc
from tabsynth.evaluation.stats.boosted_trees import classifier, draw_seed
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.schema.schema import Schema

N_DRAWS = 200
"""Number of bootstrap draws of the held-out rows."""

MIN_GROUP_ROWS = 10
"""Minimum number of held-out rows of a group."""


@dataclass(frozen=True, eq=False)
class RepeatedTraining:
    """Predictions on the test rows by classifiers trained several times on two tables.

    Attributes:
        test: The test rows with a known class that occurs in training.
        truth: Their classes, 0 to classes - 1, shape (n,).
        predictions: Class probabilities for each of the two tables, shape (seeds, n, classes).
        weights: Bootstrap weights of the test rows, shape (1 + N_DRAWS, n); the first draw has weight 1 for every row.
        training_draws: Trainings of each bootstrap draw, shape (1 + N_DRAWS, seeds); the first has each training once.
    """

    test: EncodedTable
    truth: Integers
    predictions: tuple[Floats, Floats]
    weights: Floats
    training_draws: Integers

    @classmethod
    def of(
        cls,
        train: TableLike,
        other: TableLike,
        holdout: TableLike,
        target: str,
        schema: Schema | None,
        seeds: int,
        seed: int,
    ) -> RepeatedTraining:
        """Validate the tables and train on them."""
        check_required_integers(seeds=seeds)
        inputs = check_inputs(train, other, holdout, target, schema)
        tables = encode_tables([frame for _, frame in inputs.named()], inputs.schema)
        column = tables[0].encoding.names.index(target)
        if tables[0].encoding.continuous[column]:
            raise SchemaError(f"the target {target!r} is a number; choose a column of classes")
        target_codes = [table.codes[:, column] for table in tables]
        classes = np.unique(target_codes[0][target_codes[0] > 0])
        if len(classes) < 2 or any(len(np.intersect1d(classes, each)) < len(classes) for each in target_codes):
            raise DataError(f"the target {target!r} needs the same two or more classes in each of the three tables")
        keep = np.isin(target_codes[2], classes)
        test, truth = tables[2].take(keep), np.searchsorted(classes, target_codes[2][keep])
        rng = np.random.default_rng(seed)
        states = [draw_seed(rng) for _ in range(seeds)]
        predictions = [_fit_and_predict(table, column, classes, test, states) for table in tables[:2]]
        n = len(truth)
        weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), N_DRAWS)])
        training_draws = np.vstack([np.arange(seeds), rng.integers(seeds, size=(N_DRAWS, seeds))])
        return cls(test, truth, (predictions[0], predictions[1]), weights, training_draws)

    @property
    def method(self) -> str:
        """Description of the training and of the intervals."""
        return (
            f"Boosted trees trained {self.training_draws.shape[1]} times, tested on {len(self.truth):,} held-out rows; "
            f"interval: {N_DRAWS} bootstrap draws of rows and trainings."
        )

    def mean(self, each: Floats) -> Floats:
        """Average over the trainings of each draw: shape (seeds, draws) becomes (draws,)."""
        return np.asarray(np.take_along_axis(each.T, self.training_draws, axis=1).mean(axis=1))

    def auc(self, predictions: Floats) -> Floats:
        """Return the one-vs-rest ROC AUC of each draw, shape (draws,)."""
        places = range(1, 2) if predictions.shape[2] == 2 else range(predictions.shape[2])
        each = [
            np.nanmean([weighted_auc(self.truth == k, predicted[:, k], self.weights) for k in places], axis=0)
            for predicted in predictions
        ]
        return self.mean(np.array(each))

    def groups(self, by: str) -> tuple[Integers, list[str]]:
        """Return the group of each test row, -1 for none, and the names of the groups."""
        encoding = self.test.encoding
        if by not in encoding.names or encoding.continuous[encoding.names.index(by)]:
            raise SchemaError(f"{by!r} is not a column of categories; choose one that defines the groups")
        codes = self.test.codes[:, encoding.names.index(by)]
        counts = np.bincount(codes, minlength=2)
        large_codes = [k for k in range(1, len(counts)) if counts[k] >= MIN_GROUP_ROWS]
        if len(large_codes) < 2:
            raise DataError(f"fewer than two groups of {by!r} have {MIN_GROUP_ROWS} held-out rows: {quote(counts[1:])}")
        index_of = np.full(len(counts), -1)
        index_of[large_codes] = np.arange(len(large_codes))
        return index_of[codes], [encoding.labels[encoding.names.index(by)][k - 1] for k in large_codes]

    def rates(self, predictions: Floats, groups: Integers, weights: Floats) -> Floats:
        """Return the share of each group that is predicted as each class, shape (seeds, draws, groups, classes)."""
        in_group = groups[:, None] == np.arange(groups.max() + 1)
        total = np.maximum(weights @ in_group, 1e-12)
        out = []
        for predicted in predictions:
            predicted_class = predicted.argmax(axis=1)
            each = [(weights @ (in_group & (predicted_class == k)[:, None])) / total for k in range(predicted.shape[1])]
            out.append(np.stack(each, axis=2))
        return np.array(out)

    def gap(self, predictions: Floats, groups: Integers) -> Floats:
        """Return the largest difference between groups in each draw, shape (draws,)."""
        rates = self.rates(predictions, groups, self.weights)
        return self.mean((rates.max(axis=2) - rates.min(axis=2)).max(axis=2))


@single_threaded
def _fit_and_predict(
    table: EncodedTable, column: int, classes: Integers, test: EncodedTable, states: list[int]
) -> Floats:
    """Return the predicted probabilities of the test rows, shape (seeds, n, classes)."""
    target_codes = table.codes[:, column]
    rows: npt.NDArray[np.bool_] = np.isin(target_codes, classes)
    features = np.delete(table.features()[rows], column, axis=1)
    test_features = np.delete(test.features(), column, axis=1)
    probabilities = [
        classifier(state, len(features)).fit(features, target_codes[rows]).predict_proba(test_features)
        for state in states
    ]
    return np.asarray(probabilities, dtype=np.float64)
