"""Which members of a span must not be drawn: the known positives of the query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from pykeen.typing import LongTensor

from negsamp.kernels import exclude, find
from negsamp.pools.queries import Queries
from negsamp.pools.spans import Pools
from negsamp.triples import KnownPositives, TripleSet, narrowed, take

__all__ = ["Exclusions", "Lists", "ranges"]

#: how many lists are looked up in one step; bounds the memory of building beside what is built
CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Lists:
    """Excluded ranks, one list a query, laid end to end (CSR).

    A drawn rank is shifted by the number of excluded ranks up to it. Of this step function the guide table keeps where
    each of equal parts begins, so that one comparison is enough on average, however long the list [chen1974]_.
    """

    #: shape: (num_lists + 1,)
    offsets: LongTensor
    #: shape: (num_entries,), dtype: int32: how many drawable members precede the excluded one in its span, that is its
    #: position less its index in the list. Not descending inside a list, whose last entry is
    #: :data:`negsamp.kernels.NEVER`.
    ranks: LongTensor
    #: shape: (num_entries,): the drawable ranks of a list are cut into as many parts as it has entries (or as there are
    #: ranks); of each part, the first entry of :attr:`ranks` above its first rank
    guide: LongTensor

    @classmethod
    def of(cls, pools: Pools, spans: LongTensor, known: KnownPositives, rows: LongTensor) -> Lists:
        """Exclude from spans what they have in common with known positives.

        :param pools: the pools
        :param spans: shape: (num_lists,), a span a list
        :param known: the known positives
        :param rows: shape: (num_lists,), the rows of the known positives
        """

        def bounds() -> Iterator[tuple[LongTensor, LongTensor, LongTensor, LongTensor]]:
            for span, row in zip(spans.split(CHUNK), rows.split(CHUNK), strict=True):
                yield (
                    *(take(pools.offsets, span), take(pools.offsets, span + 1)),
                    *(take(known.offsets, row), take(known.offsets, row + 1)),
                )

        # room for all that can be in common; what is not written to takes no memory
        size = sum(int(torch.minimum(b - a, d - c).sum()) + len(a) for a, b, c, d in bounds())
        ranks = torch.empty(size, dtype=torch.int32)
        guide = torch.empty(size, dtype=torch.int32 if size < 2**31 else torch.long)
        offsets = [torch.zeros(1, dtype=guide.dtype)]
        for starts, ends, known_starts, known_ends in bounds():
            first = int(offsets[-1][-1])
            ends_of_lists = exclude(
                pools.members, starts, ends, known.entities, known_starts, known_ends, ranks, guide, first
            )
            offsets.append(ends_of_lists.to(guide.dtype))
        size = int(offsets[-1][-1])
        return cls(torch.cat(offsets), ranks[:size], guide[:size])

    def then(self, others: Lists) -> Lists:
        """Lay other lists behind these."""
        size = len(self.ranks)
        return Lists(
            torch.cat([self.offsets, others.offsets[1:] + size]),
            torch.cat([self.ranks, others.ranks]),
            torch.cat([self.guide, others.guide + size]),
        )


@dataclass(frozen=True, eq=False)
class Exclusions:
    """The excluded members of each span, one list for each span and set of known positives."""

    pools: Pools
    triples: TripleSet
    #: whether all known positives are excluded; otherwise only what the spans hold that is no member
    filtered: bool
    #: shape: (num_lists,), ascending: pair key and span as one integer
    keys: LongTensor
    #: shape: (2 * num_triples,): the list of each of :meth:`negsamp.triples.TripleSet.completions`
    rows: LongTensor
    #: one list a key, and one that excludes nothing
    lists: Lists

    @classmethod
    def build(cls, pools: Pools, triples: TripleSet, *, filtered: bool = True) -> Exclusions:
        """Find the exclusions of every query that the training triples hold.

        :param pools: the pools
        :param triples: the graph
        :param filtered: whether all known positives are excluded; otherwise only what the pools hold that is no member

        :raises ValueError: if pairs and spans cannot be numbered in 63 bits
        """
        known = pools.excluded_positives(triples, filtered=filtered)
        keys, rows = _keys_of_completions(pools, triples)
        spans = [narrowed(_spans(pools, triples, part)) for part in keys.split(CHUNK)]
        known_rows = narrowed(known.rows(keys // pools.num_spans if pools.is_by_replaced else keys))
        # one more list: the empty span, and nothing known
        spans.append(torch.tensor([pools.num_spans - 1], dtype=torch.int32))
        known_rows = torch.cat([known_rows, known_rows.new_tensor([len(known.keys)])])
        return cls(pools, triples, filtered, keys, rows, Lists.of(pools, torch.cat(spans), known, known_rows))

    @cached_property
    def _known(self) -> KnownPositives:
        return self.pools.excluded_positives(self.triples, filtered=self.filtered)

    def find(self, queries: Queries, spans: LongTensor) -> tuple[LongTensor, Lists]:
        """Find the list of each query.

        :param queries: the queries
        :param spans: shape: (num_queries,)

        :returns: shape: (num_queries,), and the lists that they are the rows of
        """
        if queries.completions is not None:
            return take(self.rows, queries.completions), self.lists
        rows = find(self.keys, _list_keys(self.pools, queries.keys, spans))
        missing = rows < 0
        rows = torch.where(missing, len(self.keys), rows)
        if not self.pools.is_by_replaced or not missing.any():
            return rows, self.lists
        # a triple outside the training set can pair a span with known positives that no training triple pairs
        extra = Lists.of(self.pools, spans[missing], self._known, self._known.rows(queries.keys[missing]))
        rows[missing] = torch.arange(len(self.keys) + 1, len(self.keys) + 1 + int(missing.sum()))
        return rows, self.lists.then(extra)


def _keys_of_completions(pools: Pools, triples: TripleSet) -> tuple[LongTensor, LongTensor]:
    """Return the keys of the lists, ascending, and the list of each completion."""
    known = triples.known_positives
    if not pools.is_by_replaced:
        return known.keys, known.completion_rows
    if 2 * triples.num_entities * triples.num_relations * pools.num_spans >= 2**63:
        raise ValueError(f"{pools.num_spans} pools of this graph do not fit into 64-bit keys")
    queries = Queries(triples, *triples.completions())
    keys, rows = torch.unique(_list_keys(pools, queries.keys, pools.spans(queries)), return_inverse=True)
    return keys, narrowed(rows)


def _list_keys(pools: Pools, pair_keys: LongTensor, spans: LongTensor) -> LongTensor:
    return pair_keys * pools.num_spans + spans if pools.is_by_replaced else pair_keys


def _spans(pools: Pools, triples: TripleSet, keys: LongTensor) -> LongTensor:
    """Return the spans of list keys."""
    return keys % pools.num_spans if pools.is_by_replaced else pools.spans(Queries.of_pairs(triples, keys))


def ranges(lengths: LongTensor) -> LongTensor:
    """Return 0 … length − 1 for each length, end to end."""
    starts = lengths.cumsum(dim=0) - lengths
    return torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
