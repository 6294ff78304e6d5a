"""Negatives that the model in training takes for the answer."""

from typing import Any

import torch
from pykeen.models import ERModel
from pykeen.typing import LongTensor

from negsamp.auxiliary import resolve_auxiliary
from negsamp.pools import LookUp, Pools, find_near_misses
from negsamp.pools.search import Metric, check_search
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["AdaptiveAdversarialNegativeSampler"]


class AdaptiveAdversarialNegativeSampler(PoolNegativeSampler):
    """Draw near misses as :class:`AdversarialNegativeSampler` does, but of the model in training.

    Each :meth:`refresh` replaces the pools; :class:`negsamp.RefreshTrainingCallback` does so every few epochs. A pair
    that had no refresh yet is drawn for from all entities.
    """

    needs = "training"

    def __init__(
        self, *, num_neighbors: int = 100, grow: bool = False, metric: Metric = "euclidean", **kwargs: Any
    ) -> None:
        """Keep what the search needs.

        :param num_neighbors: k, how many entities a pool holds before any is excluded
        :param grow: take for each pair the smallest k that leaves ``num_neighbors`` entities after its known positives
            are excluded
        :param metric: ``"euclidean"``, ``"dot"`` or ``"cosine"``
        :param kwargs: passed on to :class:`PoolNegativeSampler`

        :raises ValueError: if an option has no such value
        """
        check_search(num_neighbors, "exact", metric, grow=grow)
        self.search: dict[str, Any] = {"num_neighbors": num_neighbors, "grow": grow, "metric": metric}
        super().__init__(**kwargs)
        #: the order in which pairs take turns, and whose turn it is
        self._order: LongTensor | None = None
        self._next = 0
        # what was found: the position of a pair, and an entity of its pool
        self._found = (torch.empty(0, dtype=torch.long),) * 2
        self._is_found = torch.zeros(len(self.triples.known_positives.keys), dtype=torch.bool)

    def build_pools(self) -> Pools:
        """Describe the pools before the first refresh: all entities."""
        return Pools.everything(self.triples)

    def refresh(self, model: ERModel, max_pairs: int | None = None) -> int:
        """Find the pools anew.

        It costs a search over all entities for each pair, which is about what an evaluation of the training triples
        costs; a budget limits it.

        :param model: the model in training
        :param max_pairs: how many pairs are searched for, in turns of a random order; the others keep their pools;
            None: all

        :returns: how many pairs were searched for

        :raises InputError: if the model has other entities or relations than the triples
        """
        resolve_auxiliary(model, self.triples)
        chosen = self._whose_turn(max_pairs)
        keys = self.triples.known_positives.keys
        rows, entities = find_near_misses(self.triples, model, keys[chosen], **self.search)
        is_chosen = torch.zeros_like(self._is_found).index_fill(0, chosen, True)
        kept = ~is_chosen[self._found[0]]
        self._found = (torch.cat([self._found[0][kept], chosen[rows]]), torch.cat([self._found[1][kept], entities]))
        self._is_found |= is_chosen
        self.stages[0] = self._stage("pool", self._current_pools(keys))
        return len(chosen)

    def _whose_turn(self, max_pairs: int | None) -> LongTensor:
        count = len(self._is_found)
        if max_pairs is None or max_pairs >= count:
            return torch.arange(count)
        if self._order is None:
            self._order = torch.randperm(count)
        turns = torch.arange(self._next, self._next + max_pairs) % count
        self._next = (self._next + max_pairs) % count
        return self._order[turns]

    def _current_pools(self, keys: LongTensor) -> Pools:
        """Lay out what was found; the pairs that had no turn yet share the pool of all entities."""
        rows, entities = self._found
        index = torch.arange(len(keys))
        if not self._is_found.all():
            everything = torch.arange(self.triples.num_entities)
            index[~self._is_found] = len(keys)
            rows = torch.cat([rows, torch.full_like(everything, len(keys))])
            entities = torch.cat([entities, everything])
        return Pools.from_rows(LookUp.PAIR, self.triples, rows, entities, len(keys) + 1, index=index, keys=keys)
