"""Medians, their spread, and intervals of ratios by the bootstrap (B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993).

A sample is a list of times, one for each round. Two engines' samples are paired: what disturbs the machine in a round disturbs
both. So rounds are drawn, with replacement, and not times: each draw gives a ratio of two medians, and the interval holds the
middle 95 % of the ratios. The draws are the same in each run of the program.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

DRAWS: Final = 2000
CONFIDENCE: Final = 0.95


class Ratio(NamedTuple):
    """A ratio of medians and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


def spread(sample: Sequence[float]) -> float:
    """Half the distance of the quartiles, relative to the median."""
    if len(sample) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(sample, n=4, method="inclusive")
    return (high - low) / 2 / middle


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _drawn_ratios(sample: Sequence[float], reference: Sequence[float], draws: random.Random) -> list[float]:
    rounds = range(len(sample))
    found = []
    for _ in range(DRAWS):
        chosen = draws.choices(rounds, k=len(rounds))
        found.append(statistics.median([sample[i] for i in chosen]) / statistics.median([reference[i] for i in chosen]))
    return found


def _middle(values: list[float], value: float) -> Ratio:
    values.sort()
    outside = int(len(values) * (1 - CONFIDENCE) / 2)
    return Ratio(value, values[outside], values[-1 - outside])


def ratio(sample: Sequence[float], reference: Sequence[float]) -> Ratio:
    """The median of `sample` by that of `reference`."""
    value = statistics.median(sample) / statistics.median(reference)
    return _middle(_drawn_ratios(sample, reference, random.Random(1)), value)


def mean_ratio(samples: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Ratio:
    """The geometric mean of the ratios of pairs of samples, one pair for each kernel."""
    draws = random.Random(1)
    columns = [_drawn_ratios(sample, reference, draws) for sample, reference in samples]
    means = [geometric_mean(row) for row in zip(*columns, strict=True)]
    value = geometric_mean([statistics.median(sample) / statistics.median(reference) for sample, reference in samples])
    return _middle(means, value)
