"""Which members of a span must not be drawn: the known positives of the query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from pykeen.typing import LongTensor

from negsamp.kernels import ROOM, exclude
from negsamp.pools.queries import Queries
from negsamp.pools.spans import Pools
from negsamp.triples import KnownPositives, TripleSet, narrowed, take

__all__ = ["Exclusions", "Lists", "ranges"]

#: how many lists are looked up in one step; bounds the memory of building beside what is built
CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Lists:
    """What some queries must not draw: a list each, laid end to end in one flat array.

    A list begins with where its span starts, the number of drawable entities, and that of excluded ones, so that a draw
    needs nothing else. Its entries follow, one for each excluded member and one that closes it. An entry is a **guide**
    and a **rank**: how many drawable members precede the excluded one in its span, that is its position less its index
    in the list; not descending, and :data:`negsamp.kernels.NEVER` in the last one.

    A drawn rank is shifted by the number of excluded ranks up to it. Of this step function the guide table keeps where
    each of equal parts begins, so that one comparison is enough on average, however long the list [chen1974]_: the
    drawable ranks are cut into as many parts as there are entries (or as there are ranks), and the guide of a part is
    the first entry above its first rank.
    """

    #: shape: (num_queries,): where the list of each query begins
    places: LongTensor
    #: shape: (num_numbers,), dtype: int32, or int64 where positions are larger
    entries: LongTensor

    @classmethod
    def of(cls, pools: Pools, spans: LongTensor, known: KnownPositives, rows: LongTensor) -> Lists:
        """Exclude from spans what they have in common with known positives.

        :param pools: the pools
        :param spans: shape: (num_queries,), a span a list
        :param known: the known positives
        :param rows: shape: (num_queries,), the rows of the known positives
        """

        def bounds() -> Iterator[tuple[LongTensor, LongTensor, LongTensor, LongTensor]]:
            for span, row in zip(spans.split(CHUNK), rows.split(CHUNK), strict=True):
                yield (
                    *(take(pools.offsets, span), take(pools.offsets, span + 1)),
                    *(take(known.offsets, row), take(known.offsets, row + 1)),
                )

        # room for all that can be in common; what is not written to takes no memory
        size = sum(2 * int(torch.minimum(b - a, d - c).sum()) + ROOM * len(a) for a, b, c, d in bounds())
        entries = torch.empty(size, dtype=torch.int32 if int(pools.offsets[-1]) < 2**31 else torch.long)
        places, end = [], 0
        for starts, ends, known_starts, known_ends in bounds():
            part, end = exclude(pools.members, starts, ends, known.entities, known_starts, known_ends, entries, end)
            places.append(part.int() if size < 2**31 else part)
        return cls(torch.cat(places), entries[:end])


@dataclass(frozen=True, eq=False)
class Exclusions:
    """The excluded members of each span, one list for each span and set of known positives."""

    pools: Pools
    triples: TripleSet
    #: whether all known positives are excluded; otherwise only what the spans hold that is no member
    filtered: bool
    #: the lists of :meth:`negsamp.triples.TripleSet.completions`
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
        lists = Lists.of(pools, torch.cat(spans), known, known_rows)
        return cls(pools, triples, filtered, Lists(take(lists.places, rows), lists.entries))

    @cached_property
    def _known(self) -> KnownPositives:
        return self.pools.excluded_positives(self.triples, filtered=self.filtered)

    def of(self, queries: Queries) -> Lists:
        """Find the list of each query anew: of other triples than those of the training set."""
        return Lists.of(self.pools, self.pools.spans(queries), self._known, self._known.rows(queries.keys))


def _keys_of_completions(pools: Pools, triples: TripleSet) -> tuple[LongTensor, LongTensor]:
    """Return the keys of the lists, ascending, and the list of each completion."""
    known = triples.known_positives
    if not pools.is_by_replaced:
        return known.keys, known.completion_rows
    if 2 * triples.num_entities * triples.num_relations * pools.num_spans >= 2**63:
        raise ValueError(f"{pools.num_spans} pools of this graph do not fit into 64-bit keys")
    queries = Queries(triples, triples.completions())
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
