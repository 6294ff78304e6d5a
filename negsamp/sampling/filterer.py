"""An exact filterer for any negative sampler of PyKEEN."""

import math

import torch
from pykeen.sampling.filtering import Filterer, filterer_resolver
from pykeen.typing import BoolTensor, LongTensor, MappedTriples

from negsamp.triples import find

__all__ = ["ExactFilterer"]


class ExactFilterer(Filterer):
    """Find training triples among negatives by bisection of sorted keys: no false positives, no Python set.

    Known to PyKEEN as ``filterer="exact"``, for its own samplers::

        negative_sampler="basic", negative_sampler_kwargs={"filtered": True, "filterer": "exact"}
    """

    #: shape: (num_triples,), ascending
    keys: LongTensor
    #: shape: (3,): one more than the largest id of each column
    sizes: LongTensor

    def __init__(self, mapped_triples: MappedTriples) -> None:
        """Sort the triples.

        :param mapped_triples: shape: (num_triples, 3)

        :raises ValueError: if triples of such ids cannot be numbered in 63 bits
        """
        super().__init__()
        sizes = mapped_triples.amax(dim=0) + 1 if len(mapped_triples) else mapped_triples.new_ones(3)
        if math.prod(sizes.tolist()) >= 2**63:
            raise ValueError(f"triples of {sizes.tolist()} heads, relations and tails do not fit into 64-bit keys")
        self.register_buffer("sizes", sizes)
        self.register_buffer("keys", torch.unique(self._number(mapped_triples)))

    def _number(self, triples: LongTensor) -> LongTensor:
        heads, relations, tails = triples.unbind(dim=-1)
        return (heads * self.sizes[1] + relations) * self.sizes[2] + tails

    def contains(self, batch: MappedTriples) -> BoolTensor:
        """Tell which triples are training triples.

        :param batch: shape: ``(*batch_dims, 3)``

        :returns: shape: ``(*batch_dims,)``
        """
        # an id that training cannot hold could be numbered like another triple
        within = ((batch >= 0) & (batch < self.sizes)).all(dim=-1)
        return within & (find(self.keys, self._number(batch)) >= 0)


filterer_resolver.register(ExactFilterer, raise_on_conflict=False)
