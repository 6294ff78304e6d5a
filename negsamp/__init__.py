"""Exact, fast, advanced negative samplers for PyKEEN.

Importing this package makes its samplers known to PyKEEN by name::

    import negsamp
    from pykeen.pipeline import pipeline

    pipeline(
        dataset="nations",
        model="TransE",
        negative_sampler="corrupt",
        negative_sampler_kwargs={"num_negs_per_pos": 10, "fallback": "random"},
    )
"""

from negsamp.sampling import (
    SAMPLERS,
    AdversarialNegativeSampler,
    CorruptNegativeSampler,
    NearestNeighborNegativeSampler,
    PoolNegativeSampler,
    RandomNegativeSampler,
    RelationalNegativeSampler,
    TypedByClassNegativeSampler,
    TypedNegativeSampler,
    make_sampler,
)
from negsamp.schema import Schema

__all__ = [
    "SAMPLERS",
    "AdversarialNegativeSampler",
    "CorruptNegativeSampler",
    "NearestNeighborNegativeSampler",
    "PoolNegativeSampler",
    "RandomNegativeSampler",
    "RelationalNegativeSampler",
    "Schema",
    "TypedByClassNegativeSampler",
    "TypedNegativeSampler",
    "make_sampler",
]
