"""Negative samplers, known to PyKEEN by name once this package is imported."""

from negsamp.sampling.adversarial import AdversarialNegativeSampler
from negsamp.sampling.base import PoolNegativeSampler
from negsamp.sampling.corrupt import CorruptNegativeSampler
from negsamp.sampling.make import make_sampler, serves
from negsamp.sampling.nearest_neighbor import NearestNeighborNegativeSampler
from negsamp.sampling.random import RandomNegativeSampler
from negsamp.sampling.registered import SAMPLERS
from negsamp.sampling.relational import RelationalNegativeSampler
from negsamp.sampling.typed import TypedNegativeSampler
from negsamp.sampling.typed_by_class import TypedByClassNegativeSampler

__all__ = [
    "SAMPLERS",
    "AdversarialNegativeSampler",
    "CorruptNegativeSampler",
    "NearestNeighborNegativeSampler",
    "PoolNegativeSampler",
    "RandomNegativeSampler",
    "RelationalNegativeSampler",
    "TypedByClassNegativeSampler",
    "TypedNegativeSampler",
    "make_sampler",
    "serves",
]
