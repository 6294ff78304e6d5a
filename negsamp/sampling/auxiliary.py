"""What the samplers that ask an auxiliary model have in common."""

import os
from abc import abstractmethod
from typing import Any

from pykeen.models import ERModel

from negsamp.auxiliary import resolve_auxiliary
from negsamp.errors import InputError
from negsamp.pools import Pools
from negsamp.pools.search import Metric, Search, check_search
from negsamp.sampling.base import PoolNegativeSampler
from negsamp.triples import TripleSet

__all__ = ["AuxiliaryNegativeSampler"]


class AuxiliaryNegativeSampler(PoolNegativeSampler):
    """Draw from pools that are found with a trained auxiliary model."""

    needs = "auxiliary"

    def __init__(
        self,
        *,
        auxiliary: ERModel | str | os.PathLike[str] | None = None,
        num_neighbors: int = 100,
        grow: bool = False,
        metric: Metric = "euclidean",
        search: Search = "exact",
        **kwargs: Any,
    ) -> None:
        """Keep what the search needs.

        :param auxiliary: the model, or the file that :func:`negsamp.models.save_model` has saved it to; needed unless
            ``pools`` are given
        :param num_neighbors: k, how many entities a pool holds before any is excluded
        :param grow: take the smallest k that leaves ``num_neighbors`` entities after the known positives of a query are
            excluded
        :param metric: ``"euclidean"``, ``"dot"`` or ``"cosine"``
        :param search: ``"exact"``, in a bounded amount of memory; or ``"faiss"``, approximate, for graphs of millions
            of entities
        :param kwargs: passed on to :class:`negsamp.PoolNegativeSampler`

        :raises InputError: if there is no auxiliary model, or it belongs to other triples
        :raises ValueError: if an option has no such value
        """
        check_search(num_neighbors, search, metric, grow=grow)
        # in a dictionary: the auxiliary model is no part of this module, and is neither moved nor saved with it
        self.search: dict[str, Any] = {
            "auxiliary": auxiliary,
            "num_neighbors": num_neighbors,
            "grow": grow,
            "metric": metric,
            "search": search,
        }
        super().__init__(**kwargs)

    def build_pools(self) -> Pools:  # noqa: D102
        if self.search["auxiliary"] is None:
            raise InputError(f"{self.get_normalized_name()} needs an auxiliary model: give auxiliary=... or pools=...")
        auxiliary = resolve_auxiliary(self.search["auxiliary"], self.triples)
        return self.find_pools(self.triples, **{**self.search, "auxiliary": auxiliary})

    @staticmethod
    @abstractmethod
    def find_pools(
        triples: TripleSet, auxiliary: ERModel, num_neighbors: int, metric: Metric, *, grow: bool, search: Search
    ) -> Pools:
        """Find the pools of every query with the auxiliary model."""
