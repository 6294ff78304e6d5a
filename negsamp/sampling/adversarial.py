"""Negatives that an auxiliary model takes for the answer."""

from negsamp.pools import adversarial_pools
from negsamp.sampling.auxiliary import AuxiliaryNegativeSampler

__all__ = ["AdversarialNegativeSampler"]


class AdversarialNegativeSampler(AuxiliaryNegativeSampler):
    """Draw from the k entities nearest to the auxiliary model's predicted vector: near misses [kotnis2017]_.

    For a model without predicted vectors, its k best-scored entities.
    """

    find_pools = staticmethod(adversarial_pools)
