"""Which members of a span must not be drawn: the known positives of the query."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pykeen.typing import LongTensor

from negsamp.pools.spans import Pools, bisect, take
from negsamp.triples import KnownPositives, TripleSet, find

__all__ = ["Exclusions", "ranges"]

#: how many candidate exclusions are looked at in one step; bounds the memory of building to a few hundred megabytes
CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class Exclusions:
    """The excluded members of each span, one sorted list for each span and set of known positives (CSR)."""

    pools: Pools
    known: KnownPositives
    #: shape: (num_lists,), ascending: pair key and span as one integer
    keys: LongTensor
    #: shape: (num_lists + 2,); the last list is empty
    offsets: LongTensor
    #: shape: (num_excluded,): how many drawable members precede the excluded one in its span, that is its position
    #: less its index in the list. Not descending inside a list, so that a drawn rank is shifted by one bisection.
    ranks: LongTensor

    @classmethod
    def build(cls, pools: Pools, triples: TripleSet, *, filtered: bool = True) -> Exclusions:
        """Find the exclusions of every query that the training triples hold.

        :param pools: the pools
        :param triples: the graph
        :param filtered: whether all known positives are excluded; otherwise only what the pools hold that is no member

        :raises ValueError: if pairs and spans cannot be numbered in 63 bits
        """
        if pools.is_by_replaced and 2 * triples.num_entities * triples.num_relations * pools.num_spans >= 2**63:
            raise ValueError(f"{pools.num_spans} pools of this graph do not fit into 64-bit keys")
        known = pools.excluded_positives(triples, filtered=filtered)
        anchors, relations, sides, replaced = triples.completions()
        pair_keys = triples.pair_keys(anchors, relations, sides)
        spans = pools.spans(anchors, relations, sides, replaced, pair_keys)
        keys = torch.unique(_list_keys(pools, pair_keys, spans))
        if pools.is_by_replaced:
            pair_keys, spans = keys // pools.num_spans, keys % pools.num_spans
        else:
            pair_keys, spans = keys, pools.spans(*triples.unpair(keys), keys, keys)
        counts, ranks = _intersect(pools, spans, known, pair_keys)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(dim=0), counts.sum().reshape(1)])
        return cls(pools, known, keys, offsets, ranks)

    def find(self, pair_keys: LongTensor, spans: LongTensor) -> tuple[LongTensor, LongTensor, LongTensor]:
        """Find the list of each query.

        :param pair_keys: shape: (num_queries,)
        :param spans: shape: (num_queries,)

        :returns: start and length of each list, shape: (num_queries,), and the array of ranks they point into
        """
        rows = find(self.keys, _list_keys(self.pools, pair_keys, spans))
        missing = rows < 0
        rows = torch.where(missing, len(self.keys), rows)
        starts = self.offsets[rows]
        counts, ranks = self.offsets[rows + 1] - starts, self.ranks
        if self.pools.is_by_replaced and missing.any():
            # a triple outside the training set can pair a span with known positives that no training triple pairs
            extra, extra_ranks = _intersect(self.pools, spans[missing], self.known, pair_keys[missing])
            counts[missing] = extra
            starts[missing] = len(ranks) + extra.cumsum(dim=0) - extra
            ranks = torch.cat([ranks, extra_ranks])
        return starts, counts, ranks


def _list_keys(pools: Pools, pair_keys: LongTensor, spans: LongTensor) -> LongTensor:
    return pair_keys * pools.num_spans + spans if pools.is_by_replaced else pair_keys


def _intersect(
    pools: Pools, spans: LongTensor, known: KnownPositives, pair_keys: LongTensor
) -> tuple[LongTensor, LongTensor]:
    """Intersect the span and the known positives of each query: go through the shorter, look up in the longer.

    :returns: shape: (num_queries,): the number of common entities; and shape: (sum of these,): the positions of these
        in the span, less the index in the list
    """
    rows = known.rows(pair_keys)
    known_lengths, span_lengths = known.offsets.diff()[rows], pools.lengths[spans]
    walk_known = known_lengths <= span_lengths
    cost = torch.minimum(known_lengths, span_lengths)
    counts, positions = [], []
    for part in torch.split(torch.arange(len(spans)), _chunk_sizes(cost)):
        queries, found = [], []
        for walked, indices in ((True, part[walk_known[part]]), (False, part[~walk_known[part]])):
            lengths = cost[indices]
            query = indices.repeat_interleave(lengths)
            step = ranges(lengths)
            if walked:
                position = pools.positions(spans[query], known.entities[known.offsets[rows[query]] + step])
                common = position >= 0
            else:
                position = step
                start = pools.offsets[spans[query]] + step
                entity = start if pools.members is None else pools.members[start]
                low, high = known.offsets[rows[query]], known.offsets[rows[query] + 1]
                at = bisect(known.entities, low, high, entity - 1)
                common = (at < high) & (take(known.entities, at) == entity)
            queries.append(query[common])
            found.append(position[common])
        query, position = torch.cat(queries), torch.cat(found)
        counts.append(torch.bincount(query - part[0], minlength=len(part)))
        positions.append(position[torch.argsort(query, stable=True)])
    if not counts:
        return spans, spans
    count = torch.cat(counts)
    return count, torch.cat(positions) - ranges(count)


def _chunk_sizes(cost: LongTensor) -> list[int]:
    """Cut queries into parts of about :data:`CHUNK` steps each."""
    parts = torch.cumsum(cost + 1, dim=0) // CHUNK
    return list(torch.unique_consecutive(parts, return_counts=True)[1].tolist())


def ranges(lengths: LongTensor) -> LongTensor:
    """Return 0 … length − 1 for each length, end to end."""
    starts = lengths.cumsum(dim=0) - lengths
    return torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
