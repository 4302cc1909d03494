"""Data of the charts and tables of a report page, in addition to the scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.evaluation.rendering.closest_records import closest_record_distances
from tabsynth.evaluation.rendering.column_summary import column_summary
from tabsynth.evaluation.rendering.correlations import correlation_matrices
from tabsynth.evaluation.rendering.projection import projection
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.schema.schema import Schema


def picture_data(
    train: EncodedTable,
    synthetic: EncodedTable,
    holdout: EncodedTable | None,
    schema: Schema,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Compute principal components, summary statistics, correlation matrices and distances to the closest record."""
    charts = {
        "projection": projection(train, synthetic, holdout, rng),
        "summary": column_summary(train, synthetic, schema),
        "correlations": correlation_matrices(train, synthetic, holdout),
        "closest": closest_record_distances(train, synthetic, holdout, rng),
    }
    return {name: data for name, data in charts.items() if data is not None}
