"""Negative samplers, known to PyKEEN by name once this package is imported."""

from negsamp.sampling.adaptive_adversarial import AdaptiveAdversarialNegativeSampler
from negsamp.sampling.adversarial import AdversarialNegativeSampler
from negsamp.sampling.base import PoolNegativeSampler
from negsamp.sampling.corrupt import CorruptNegativeSampler
from negsamp.sampling.filterer import ExactFilterer
from negsamp.sampling.given import GivenNegativeSampler
from negsamp.sampling.handle import SamplerHandle
from negsamp.sampling.make import make_sampler, missing_for, serves
from negsamp.sampling.nearest_neighbor import NearestNeighborNegativeSampler
from negsamp.sampling.random import RandomNegativeSampler
from negsamp.sampling.registered import SAMPLERS, register_sampler
from negsamp.sampling.relational import RelationalNegativeSampler
from negsamp.sampling.typed import TypedNegativeSampler
from negsamp.sampling.typed_by_class import TypedByClassNegativeSampler
from negsamp.sampling.usage import Usage

__all__ = [
    "SAMPLERS",
    "AdaptiveAdversarialNegativeSampler",
    "AdversarialNegativeSampler",
    "CorruptNegativeSampler",
    "ExactFilterer",
    "GivenNegativeSampler",
    "NearestNeighborNegativeSampler",
    "PoolNegativeSampler",
    "RandomNegativeSampler",
    "RelationalNegativeSampler",
    "SamplerHandle",
    "TypedByClassNegativeSampler",
    "TypedNegativeSampler",
    "Usage",
    "make_sampler",
    "missing_for",
    "register_sampler",
    "serves",
]
