"""Exact, fast, advanced negative samplers for PyKEEN.

Importing this package makes its samplers, filterer, evaluator and training callbacks known to PyKEEN by name::

    import negsamp
    from pykeen.pipeline import pipeline

    pipeline(
        dataset="nations",
        model="TransE",
        negative_sampler="corrupt",
        negative_sampler_kwargs={"num_negs_per_pos": 10, "fallback": "random"},
    )
"""

from negsamp.callbacks import RefreshTrainingCallback, UsageTrainingCallback
from negsamp.evaluation import FastRankBasedEvaluator
from negsamp.negatives import GivenNegatives
from negsamp.sampling import (
    SAMPLERS,
    AdaptiveAdversarialNegativeSampler,
    AdversarialNegativeSampler,
    CorruptNegativeSampler,
    ExactFilterer,
    GivenNegativeSampler,
    NearestNeighborNegativeSampler,
    PoolNegativeSampler,
    RandomNegativeSampler,
    RelationalNegativeSampler,
    SamplerHandle,
    TypedByClassNegativeSampler,
    TypedNegativeSampler,
    make_sampler,
    register_sampler,
)
from negsamp.schema import Schema

__all__ = [
    "SAMPLERS",
    "AdaptiveAdversarialNegativeSampler",
    "AdversarialNegativeSampler",
    "CorruptNegativeSampler",
    "ExactFilterer",
    "FastRankBasedEvaluator",
    "GivenNegativeSampler",
    "GivenNegatives",
    "NearestNeighborNegativeSampler",
    "PoolNegativeSampler",
    "RandomNegativeSampler",
    "RefreshTrainingCallback",
    "RelationalNegativeSampler",
    "SamplerHandle",
    "Schema",
    "TypedByClassNegativeSampler",
    "TypedNegativeSampler",
    "UsageTrainingCallback",
    "make_sampler",
    "register_sampler",
]
