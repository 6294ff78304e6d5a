"""Advice on samplers for a graph: which are applicable, what to expect of them, why, and how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from negsamp.advice.forecast import REAL, Forecast, Forecasters, fit_structural, read_evidence
from negsamp.datasets import SchemaDataset
from negsamp.descriptors import describe_dataset, describe_pool_sizes, describe_structure
from negsamp.sampling import SAMPLERS, make_sampler, serves

__all__ = ["BASELINE", "Advice", "SamplerAdvice", "advise", "describe_sampler"]

#: what gains are told against
BASELINE = "random"


@dataclass(frozen=True)
class SamplerAdvice:
    """What there is to say of a sampler on a graph."""

    sampler: str
    #: against random negatives: ``"likely better"``, ``"likely worse"`` (all intervals are above, or below),
    #: ``"depends on the model"``, ``"not clear"``; or ``"no pools"``, ``"no evidence"``, ``"not applicable"``
    verdict: str
    #: what the graph lacks where the sampler is not applicable
    lacks: str | None
    #: ``pool_share`` and ``no_pool`` of :data:`negsamp.descriptors.POOL_DESCRIPTORS`; None: no pools without a training
    pools: Mapping[str, float] | None
    #: model → what the sampler can be expected to gain
    forecasts: Mapping[str, Forecast]


@dataclass(frozen=True)
class Advice:
    """What there is to say of samplers on a graph."""

    dataset: str
    #: the numbers of :data:`negsamp.descriptors.DESCRIPTORS`
    structure: Mapping[str, float | None]
    samplers: tuple[SamplerAdvice, ...]
    #: how much of what structure predicts is taken, see :class:`negsamp.advice.Forecasters`
    weight: float


def advise(dataset: SchemaDataset, evidence: pd.DataFrame, infer_schema: float | None = None) -> Advice:
    """Look at a graph, and predict what each sampler gains on it over random negatives; nothing is trained.

    Training triples alone are looked at. What was measured on this very graph, by its name, is left out.

    :param dataset: the graph
    :param evidence: gains on generated graphs, see :func:`negsamp.advice.read_evidence`
    :param infer_schema: whether domains and ranges are inferred from classes, see :class:`negsamp.PoolNegativeSampler`

    :returns: the advice, on every sampler of this package but random
    """
    real = read_evidence(REAL)
    forecasters = Forecasters(fit_structural(evidence), real[real["group"] != dataset.name])
    structure = describe_dataset(dataset)

    def of_sampler(name: str) -> SamplerAdvice:
        needs = SAMPLERS[name].needs
        if not serves(name, dataset, infer_schema):
            return SamplerAdvice(name, "not applicable", needs.replace("_", " "), None, {})
        if needs in ("auxiliary", "training"):
            forecasts = forecasters.predict(name, structure)
            return SamplerAdvice(name, _verdict(forecasts.values()), None, None, forecasts)
        descriptors, pools = describe_sampler(name, dataset, infer_schema)
        if pools["no_pool"] == 1:
            return SamplerAdvice(name, "no pools", None, pools, {})
        forecasts = forecasters.predict(name, {**descriptors, **pools})
        return SamplerAdvice(name, _verdict(forecasts.values()), None, pools, forecasts)

    samplers = tuple(of_sampler(name) for name in SAMPLERS if name != BASELINE)
    return Advice(dataset.name, structure, samplers, forecasters.weight)


def _verdict(forecasts: Collection[Forecast]) -> str:
    if not forecasts:
        return "no evidence"
    is_better, is_worse = [found.low > 0 for found in forecasts], [found.high < 0 for found in forecasts]
    if all(is_better):
        return "likely better"
    if all(is_worse):
        return "likely worse"
    return "depends on the model" if any(is_better) and any(is_worse) else "not clear"


def describe_sampler(
    name: str, dataset: SchemaDataset, infer_schema: float | None = None
) -> tuple[dict[str, float | None], dict[str, float]]:
    """Describe a graph as a sampler sees it, inferred domains and ranges included, and the sampler's pools.

    :param name: the sampler; its pools are found before a training
    :param dataset: the graph, by its training triples
    :param infer_schema: see :func:`advise`

    :returns: the numbers of :data:`negsamp.descriptors.DESCRIPTORS`, and of
        :func:`negsamp.descriptors.describe_pool_sizes`
    """
    sampler = make_sampler(name, dataset, infer_schema=infer_schema)
    return describe_structure(sampler.triples, sampler.schema), describe_pool_sizes(sampler)
