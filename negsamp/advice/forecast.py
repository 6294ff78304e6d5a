"""What a sampler can be expected to gain on a graph, from what it gained on others."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from negsamp.errors import InputError
from negsamp.sampling import SAMPLERS
from negsamp.significance import Correlation, rank_correlation

__all__ = [
    "GENERATED",
    "INTERVAL",
    "REAL",
    "Extrapolation",
    "Forecast",
    "Forecasters",
    "Reason",
    "StructuralForecast",
    "StructuralForecaster",
    "fit_structural",
    "predictors_of",
    "read_evidence",
    "validate_forecasts",
]

#: which share of the gains on benchmark graphs an interval is to hold
INTERVAL = 0.8

#: what the package comes with: gains on the graphs of ``configs/graph-structure.yaml``, and on benchmark graphs
GENERATED, REAL = (Path(__file__).with_name(name) for name in ("generated.csv", "real.csv"))

#: descriptors that a gain is predicted from, see :mod:`negsamp.descriptors`
_TRIPLES = (
    "entities",
    "triples_per_entity",
    "degree_gini",
    "one_to_many",
    "many_to_one",
    "many_to_many",
    "inverse",
    "duplicate",
)
_SCHEMA = ("classes", "untyped", "undeclared", "violations")
_POOLS = ("pool_share", "no_pool")

#: sizes and ratios: twice as much matters as much, wherever it starts
_LOGARITHMIC = ("entities", "triples_per_entity", "classes", "pool_share")
#: the share of a pool where all pools are empty
_LEAST = 1e-6
#: groups of graphs that it takes at least to leave one out
_GROUPS = 3


def predictors_of(sampler: str) -> tuple[str, ...]:
    """Name the descriptors that the gain of a sampler is predicted from.

    :param sampler: one of :data:`negsamp.SAMPLERS`

    :returns: those of triples; of the schema, if it reads one; of its pools, if it has them without any training
    """
    needs = SAMPLERS[sampler].needs
    schema = _SCHEMA if needs in ("classes", "domains_and_ranges") else ()
    pools = () if needs in ("auxiliary", "training") else _POOLS
    return (*_TRIPLES, *schema, *pools)


def read_evidence(path: str | os.PathLike[str] = GENERATED) -> pd.DataFrame:
    """Read what samplers gained on graphs: one row a graph or structure, sampler and model.

    :param path: :data:`GENERATED`, :data:`REAL`, or what the workflow's rule ``collect_evidence`` has written

    :raises InputError: if the file is missing, is no such table, or has a gain or descriptor that cannot be
    """
    remedy = "give a file that the rule collect_evidence has written"
    try:
        evidence = pd.read_csv(path, dtype={"group": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as evidence ({error}); {remedy}") from error
    numbers = ["graphs", "gain", *_TRIPLES, *_SCHEMA, *_POOLS]
    if missing := [name for name in ("group", "sampler", "model", *numbers) if name not in evidence]:
        raise InputError(f"{path}: no column {missing[0]!r}; {remedy}")
    if unknown := set(evidence["sampler"]).difference(SAMPLERS):
        raise InputError(f"{path}: unknown sampler {min(map(str, unknown))!r}: known are {', '.join(SAMPLERS)}")
    for name in numbers:
        given = evidence[name]
        try:
            known = pd.to_numeric(given, errors="coerce")
        except OverflowError as error:
            raise InputError(f"{path}: {name} has a number beyond all others ({error}); {remedy}") from error
        # a descriptor may be unknown
        is_bad = np.isinf(known) | (known.isna() & (given.notna() | (name in ("graphs", "gain"))))
        if name == "gain":
            is_bad |= known <= -1
        if is_bad.any():
            place = int(np.argmax(is_bad))
            raise InputError(f"{path} line {place + 2}: {name} is {given.iloc[place]!r}, which it cannot be; {remedy}")
        evidence[name] = known
    if (is_blank := evidence[["group", "model"]].isna().any(axis=1)).any():
        raise InputError(f"{path} line {int(np.argmax(is_blank)) + 2}: group or model is blank; {remedy}")
    return evidence


@dataclass(frozen=True)
class Reason:
    """A descriptor that moves what structure predicts."""

    descriptor: str
    #: on this graph, None: unknown; and on average on the generated graphs
    value: float | None
    usual: float
    #: by which share it alone moves the ratio of MRRs from that of a graph as the generated ones are on average
    change: float


@dataclass(frozen=True)
class Extrapolation:
    """A descriptor that lies outside the generated graphs, so that their nearest end was taken instead."""

    descriptor: str
    value: float
    #: the ends
    low: float
    high: float


@dataclass(frozen=True)
class StructuralForecast:
    """What is predicted from the structure of a graph alone, by generated graphs alone."""

    gain: float
    #: all descriptors that were looked at, those first that move it most
    reasons: tuple[Reason, ...]
    extrapolated: tuple[Extrapolation, ...]
    #: on how many graphs it rests, and what was gained there on average
    graphs: int
    mean_gain: float
    #: the rank correlation of predictions and gains on generated graphs that were left out
    skill: Correlation


@dataclass(frozen=True)
class Forecast:
    """What a sampler can be expected to gain with a model: by how much test MRR is above that of random negatives.

    All gains are shares of the MRR of random negatives.
    """

    gain: float
    #: the ends of its interval, see :class:`Forecasters`
    low: float
    high: float
    #: by which share structure moves the ratio of MRRs from the mean of what was measured
    moved: float
    #: benchmark graph → what was gained there
    measured: Mapping[str, float]
    structural: StructuralForecast


class StructuralForecaster:
    """The gain of a sampler with a model, by a ridge regression [hoerl1970]_ on descriptors.

    Regressed is the logarithm of the ratio of MRRs. Descriptors are standardised, an unknown one is taken for the mean,
    one outside the evidence for its end, and the penalty is chosen by leaving out row by row. How good that is, graphs
    tell that were left out, one group after another: all of a property's values, or a graph whose properties were all
    drawn at once.

    :param evidence: see :func:`read_evidence`
    :param sampler: the sampler, one of :data:`negsamp.SAMPLERS`
    :param model: the model

    :raises InputError: if there are too few groups to leave one out
    """

    def __init__(self, evidence: pd.DataFrame, sampler: str, model: str) -> None:
        """Fit."""
        evidence = evidence[(evidence["sampler"] == sampler) & (evidence["model"] == model)]
        if evidence["group"].nunique() < _GROUPS:
            raise InputError(
                f"evidence of {sampler} with {model}: fewer than {_GROUPS} groups of graphs; sweep more properties"
            )
        #: those that are known of some graph
        self.predictors = tuple(name for name in predictors_of(sampler) if evidence[name].notna().any())
        self._is_logarithmic = np.isin(self.predictors, _LOGARITHMIC)
        features = self._features(evidence[list(self.predictors)].to_numpy(np.float64))
        gains = np.log1p(evidence["gain"].to_numpy())
        pipeline = make_pipeline(SimpleImputer(), StandardScaler(), RidgeCV(alphas=np.logspace(-1, 3, 9)))
        left_out = cross_val_predict(pipeline, features, gains, groups=evidence["group"], cv=LeaveOneGroupOut())
        self._skill = rank_correlation(left_out.tolist(), gains.tolist())
        #: the mean of the logarithm
        self.mean = float(gains.mean())
        self._graphs = int(evidence["graphs"].sum())
        fitted = pipeline.fit(features, gains)
        self._prepare, self._ridge = fitted[:-1], fitted[-1]
        self._usual, self._low, self._high = (of(features, axis=0) for of in (np.nanmean, np.nanmin, np.nanmax))

    def change(self, descriptors: Mapping[str, float | None]) -> float:
        """Predict by how much the logarithm is above its mean.

        :param descriptors: a number for each of :attr:`predictors`; None: unknown
        """
        return float(self._parts(self._row(descriptors)).sum())

    def predict(self, descriptors: Mapping[str, float | None]) -> StructuralForecast:
        """Predict the gain on a graph, and tell why.

        :param descriptors: a number for each of :attr:`predictors`; None: unknown
        """
        row, values = self._row(descriptors), [descriptors[name] for name in self.predictors]
        parts = self._parts(row)
        usual, low, high = (self._plain(ends) for ends in (self._usual, self._low, self._high))
        reasons = map(Reason, self.predictors, values, usual, np.expm1(parts).tolist())
        is_outside = (row < self._low) | (row > self._high)
        return StructuralForecast(
            gain=math.expm1(self.mean + parts.sum()),
            reasons=tuple(sorted(reasons, key=lambda reason: -abs(reason.change))),
            extrapolated=tuple(
                Extrapolation(self.predictors[place], float(descriptors[name] or 0), low[place], high[place])
                for place, name in enumerate(self.predictors)
                if is_outside[place]
            ),
            graphs=self._graphs,
            mean_gain=math.expm1(self.mean),
            skill=self._skill,
        )

    def _parts(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each descriptor adds to the mean logarithm; shape of both: (num_predictors,)."""
        prepared = self._prepare.transform(np.clip(row, self._low, self._high)[None])[0]
        parts: NDArray[np.float64] = prepared * self._ridge.coef_
        return parts

    def _row(self, descriptors: Mapping[str, float | None]) -> NDArray[np.float64]:
        return self._features(np.array([descriptors[name] for name in self.predictors], np.float64))

    def _features(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(self._is_logarithmic, np.log(np.maximum(values, _LEAST)), values)

    def _plain(self, features: NDArray[np.float64]) -> list[float]:
        """Undo the logarithms."""
        plain: list[float] = np.where(self._is_logarithmic, np.exp(features), features).tolist()
        return plain


def fit_structural(generated: pd.DataFrame) -> dict[tuple[str, str], StructuralForecaster]:
    """Fit all there is evidence of.

    :param generated: gains on generated graphs, see :func:`read_evidence`

    :returns: sampler and model → what predicts their gain

    :raises InputError: if there are too few groups of graphs
    """
    pairs = generated[["sampler", "model"]].drop_duplicates().itertuples(index=False, name=None)
    return {pair: StructuralForecaster(generated, *pair) for pair in pairs}


class Forecasters:
    """What all samplers can be expected to gain, as far as there is evidence.

    A sampler's usual gain with a model is the mean over benchmark graphs, the mean over generated ones counting as one
    more. Structure moves it by how far what it predicts for the graph is from what it predicts for these on average,
    times its :attr:`weight`: the factor, from 0 to 1, that brings forecasts nearest to the gains on benchmark graphs
    when each graph is predicted from the others (stacking [wolpert1992]_). An interval is so wide that it holds
    :data:`INTERVAL` of these gains then. Each graph counts the same, whatever number of its gains is known.

    Means, factor and intervals are those of the logarithm of the ratio of MRRs.

    :param structural: see :func:`fit_structural`
    :param real: gains on benchmark graphs, see :func:`read_evidence`; ``group`` is the graph

    :raises InputError: if the benchmark graphs have too few gains of the same samplers and models
    """

    def __init__(self, structural: Mapping[tuple[str, str], StructuralForecaster], real: pd.DataFrame) -> None:
        """Ask the benchmark graphs."""
        self._structural = structural
        # sampler and model → graph → the logarithm, and how far structure predicts it to be from the generated mean
        self._measured: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
        for key, rows in real.groupby(["sampler", "model", "group"], sort=False):
            sampler, model, graph = map(str, key)
            if fitted := structural.get((sampler, model)):
                gain = float(np.log1p(rows["gain"]).mean())
                self._measured.setdefault((sampler, model), {})[graph] = gain, fitted.change(_row(rows.iloc[0]))
        graphs = [graph for of_pair in self._measured.values() for graph in of_pair]
        if len(set(graphs)) < _GROUPS:
            raise InputError(
                f"evidence: fewer than {_GROUPS} benchmark graphs have a gain of one of its samplers and models; "
                "sweep with TransE or DistMult, too"
            )
        left, moves = np.transpose(
            [
                np.subtract(found, self._usual(pair, without=graph))
                for pair, of_pair in self._measured.items()
                for graph, found in of_pair.items()
            ]
        )
        counts = np.array([1 / graphs.count(graph) for graph in graphs])
        is_moved = not np.allclose(moves, 0)
        #: how much of what structure predicts is taken
        self.weight = float(np.clip(counts * moves @ left / (counts * moves @ moves), 0, 1)) if is_moved else 0.0
        errors = np.abs(left - self.weight * moves)
        order = np.argsort(errors)
        reached = np.searchsorted(np.cumsum(counts[order]), INTERVAL * counts.sum() - 1e-9)
        self._margin = float(errors[order][reached])

    def predict(self, sampler: str, descriptors: Mapping[str, float | None]) -> dict[str, Forecast]:
        """Predict the gain of a sampler on a graph.

        :param sampler: the sampler
        :param descriptors: a number for each of :func:`predictors_of`; None: unknown

        :returns: model → forecast; empty where there is no evidence
        """
        found = {}
        for pair, structural in self._structural.items():
            if pair[0] == sampler:
                usual, usual_change = self._usual(pair)
                moved = self.weight * (structural.change(descriptors) - usual_change)
                low, gain, high = (math.expm1(usual + moved + reach) for reach in (-self._margin, 0, self._margin))
                measured = {graph: math.expm1(gain) for graph, (gain, _) in self._measured.get(pair, {}).items()}
                found[pair[1]] = Forecast(gain, low, high, math.expm1(moved), measured, structural.predict(descriptors))
        return found

    def _usual(self, pair: tuple[str, str], without: str | None = None) -> tuple[float, float]:
        """Return the means of gains and of predicted changes, without one of the benchmark graphs."""
        measured = [found for graph, found in self._measured.get(pair, {}).items() if graph != without]
        gain, change = np.mean([(self._structural[pair].mean, 0.0), *measured], axis=0)
        return float(gain), float(change)


def validate_forecasts(structural: Mapping[tuple[str, str], StructuralForecaster], real: pd.DataFrame) -> pd.DataFrame:
    """Predict the gains on each benchmark graph from all others: nothing of a graph is in what predicts its gains.

    :param structural: see :class:`Forecasters`
    :param real: see :class:`Forecasters`

    :returns: the rows of ``real`` there is evidence of, with ``predicted``, ``low``, ``high``; ``usual``, what would be
        predicted without structure; ``structural``, what structure alone predicts; and the ``weight`` of structure
    """
    parts = []
    for graph, rows in real.groupby("group", sort=False):
        forecasters = Forecasters(structural, real[real["group"] != graph])
        for _, row in rows.iterrows():
            found = forecasters.predict(row["sampler"], _row(row)).get(row["model"])
            if found is not None:
                numbers = {"predicted": found.gain, "low": found.low, "high": found.high}
                numbers |= {"usual": (1 + found.gain) / (1 + found.moved) - 1, "structural": found.structural.gain}
                parts.append({**row, **numbers, "weight": forecasters.weight})
    return pd.DataFrame(parts)


def _row(row: pd.Series) -> dict[str, Any]:
    """Return a row whose blank cells are unknown."""
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}
