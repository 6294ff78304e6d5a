"""Which members of a span must not be drawn: the known positives of the query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from pykeen.typing import LongTensor

from negsamp.kernels import find, guide, intersect
from negsamp.pools.queries import Queries
from negsamp.pools.spans import Pools
from negsamp.triples import KnownPositives, TripleSet, narrowed, take

__all__ = ["Exclusions", "Lists", "ranges"]

#: how many known positives are looked at in one step; bounds the memory of building to about a hundred megabytes
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
    def of(cls, counts: LongTensor, ranks: LongTensor, drawable: LongTensor) -> Lists:
        """Close and guide lists.

        :param counts: shape: (num_lists,), how many members are excluded
        :param ranks: shape: (sum of counts,), see :attr:`ranks`
        :param drawable: shape: (num_lists,), how many members are not
        """
        return cls(*guide(counts, ranks, drawable))

    @classmethod
    def join(cls, parts: Sequence[Lists]) -> Lists:
        """Lay lists end to end."""
        starts = [0]
        for part in parts:
            starts.append(starts[-1] + len(part.ranks))
        kind = torch.int32 if starts[-1] < 2**31 else torch.int64
        shifted = list(zip(parts, starts[:-1], strict=True))
        return cls(
            torch.cat([(part.offsets[:-1] + start).to(kind) for part, start in shifted] + [torch.tensor(starts[-1:])]),
            torch.cat([part.ranks for part in parts]),
            torch.cat([(part.guide + start).to(kind) for part, start in shifted]),
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
        nothing = torch.zeros(1, dtype=torch.long)
        parts = [
            _intersect(pools, known, *_pairs_and_spans(pools, triples, part)) for part in _chunks(pools, known, keys)
        ]
        lists = Lists.join([*parts, Lists.of(nothing, nothing[:0], nothing)])
        return cls(pools, triples, filtered, keys, rows, lists)

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
        extra = _intersect(self.pools, self._known, queries.keys[missing], spans[missing])
        rows[missing] = torch.arange(len(self.keys) + 1, len(self.keys) + 1 + int(missing.sum()))
        return rows, Lists.join([self.lists, extra])


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


def _pairs_and_spans(pools: Pools, triples: TripleSet, keys: LongTensor) -> tuple[LongTensor, LongTensor]:
    """Return pair keys and spans of list keys."""
    if pools.is_by_replaced:
        return keys // pools.num_spans, keys % pools.num_spans
    return keys, pools.spans(Queries.of_pairs(triples, keys))


def _chunks(pools: Pools, known: KnownPositives, keys: LongTensor) -> Sequence[LongTensor]:
    """Cut the keys of lists into parts of about :data:`CHUNK` known positives each."""
    rows = known.rows(keys // pools.num_spans if pools.is_by_replaced else keys)
    steps = torch.cumsum(take(known.offsets.diff(), rows) + 1, dim=0)
    sizes = torch.unique_consecutive(steps // CHUNK, return_counts=True)[1]
    return torch.split(keys, sizes.tolist()) if len(keys) else []


def _intersect(pools: Pools, known: KnownPositives, pair_keys: LongTensor, spans: LongTensor) -> Lists:
    """Intersect the span and the known positives of each query; shape of both: (num_queries,)."""
    rows = known.rows(pair_keys)
    starts, ends = take(pools.offsets, spans), take(pools.offsets, spans + 1)
    bounds = take(known.offsets, rows), take(known.offsets, rows + 1)
    counts, ranks = intersect(pools.members, starts, ends, known.entities, *bounds)
    return Lists.of(counts, ranks, ends - starts - counts)


def ranges(lengths: LongTensor) -> LongTensor:
    """Return 0 … length − 1 for each length, end to end."""
    starts = lengths.cumsum(dim=0) - lengths
    return torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
