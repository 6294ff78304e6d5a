"""What is asked of a pool."""

from __future__ import annotations

from functools import cached_property

import torch
from pykeen.typing import LongTensor

from negsamp.kernels import complete
from negsamp.triples import HEAD, TAIL, TripleSet, take

__all__ = ["Queries"]


class Queries:
    """What stays, and what is to be replaced."""

    triples: TripleSet
    #: shape: (num_queries,): the positions of the queries in :meth:`negsamp.triples.TripleSet.completions`; None: not
    #: all of them are known to be training triples
    completions: LongTensor | None

    def __init__(
        self,
        triples: TripleSet,
        columns: tuple[LongTensor, LongTensor, LongTensor, LongTensor] | None = None,
        completions: LongTensor | None = None,
    ) -> None:
        """Ask.

        :param triples: the graph
        :param columns: anchors, relations, sides, replaced entities; shape of each: (num_queries,). None: those of the
            completions, which are looked at only if asked for
        :param completions: shape: (num_queries,)
        """
        self.triples = triples
        self.completions = completions
        if columns is not None:
            self._columns = columns

    @classmethod
    def of_triples(cls, triples: TripleSet, positives: LongTensor) -> Queries:
        """Ask for both sides of some triples: query 2i for the head of triple i, 2i + 1 for its tail.

        :param positives: shape: (batch_size, 3), without artificial inverses
        """
        completions = complete(triples, positives)
        if completions is not None:
            return cls(triples, completions=completions)
        heads, relations, tails = positives.unbind(dim=-1)
        columns = ((tails, heads), (relations, relations), (torch.zeros_like(heads), torch.ones_like(heads)))
        anchors, relations, sides, replaced = (torch.stack(pair, -1).flatten() for pair in (*columns, (heads, tails)))
        return cls(triples, (anchors, relations, sides, replaced))

    @classmethod
    def of_pairs(cls, triples: TripleSet, keys: LongTensor) -> Queries:
        """Ask for pairs, of pools that do not depend on what is replaced."""
        return cls(triples, (*triples.unpair(keys), keys))

    @cached_property
    def _columns(self) -> tuple[LongTensor, LongTensor, LongTensor, LongTensor]:
        if self.completions is None:
            raise ValueError("ask for columns or completions")
        is_tail = self.completions >= len(self.triples.triples)
        positions = self.completions - is_tail.long() * len(self.triples.triples)
        heads, relations, tails = self.triples.triples[positions].unbind(dim=-1)
        anchors, replaced = torch.where(is_tail, heads, tails), torch.where(is_tail, tails, heads)
        return anchors, relations, torch.where(is_tail, TAIL, HEAD), replaced

    @property
    def anchors(self) -> LongTensor:
        """The entities that stay; shape: (num_queries,)."""
        return self._columns[0]

    @property
    def relations(self) -> LongTensor:
        """Their relations; shape: (num_queries,)."""
        return self._columns[1]

    @property
    def sides(self) -> LongTensor:
        """The sides to be replaced; shape: (num_queries,)."""
        return self._columns[2]

    @property
    def replaced(self) -> LongTensor:
        """The entities to be replaced; shape: (num_queries,)."""
        return self._columns[3]

    @property
    def are_known(self) -> bool:
        """Whether all of them are known to be training triples."""
        return self.completions is not None

    def some(self, which: LongTensor) -> Queries:
        """Pick the queries at these positions."""
        if self.completions is not None:
            return Queries(self.triples, completions=take(self.completions, which))
        anchors, relations, sides, replaced = (take(column, which) for column in self._columns)
        return Queries(self.triples, (anchors, relations, sides, replaced))

    @cached_property
    def keys(self) -> LongTensor:
        """The pair keys."""
        return self.triples.pair_keys(self.anchors, self.relations, self.sides)

    @cached_property
    def completion_keys(self) -> LongTensor:
        """The keys of pair and replaced entity."""
        return self.triples.completion_keys(self.keys, self.replaced)
