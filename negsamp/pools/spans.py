"""The one structure behind every sampler: a pool is a span of a flat array of entities."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import torch
from pykeen.typing import BoolTensor, LongTensor
from scipy import sparse

from negsamp.triples import KnownPositives, TripleSet, find

__all__ = ["LookUp", "Pools"]


def _empty() -> LongTensor:
    return torch.empty(0, dtype=torch.long)


class LookUp(StrEnum):
    """What a query's pool is looked up by."""

    #: one pool for all queries
    NOTHING = "nothing"
    #: relation and side; row 2r: head, 2r + 1: tail
    RELATION = "relation"
    #: the entity that stays, and the side; row 2e: head, 2e + 1: tail
    ANCHOR = "anchor"
    #: the entity that is replaced
    REPLACED = "replaced"
    #: anchor, relation and side together
    PAIR = "pair"
    #: these and the replaced entity
    COMPLETION = "completion"


@dataclass(frozen=True, eq=False)
class Pools:
    """The pools of all queries, laid end to end (CSR), before anything is excluded.

    The last span is empty: it belongs to the queries that have no pool.
    """

    look_up: LookUp
    num_entities: int
    num_relations: int
    #: shape: (num_members,), ascending inside each span; None: the entity ids themselves
    members: LongTensor | None
    #: shape: (num_spans + 1,), where each span starts, and where the last one ends
    offsets: LongTensor
    #: the span of each entity (:attr:`LookUp.REPLACED`, shape: (num_entities,)) or key (:attr:`LookUp.PAIR`,
    #: :attr:`LookUp.COMPLETION`, shape: (num_keys,)); empty where the span's number is computed
    index: LongTensor = field(default_factory=_empty)
    #: shape: (num_keys,), ascending: the keys of :attr:`index`, see :meth:`negsamp.triples.TripleSet.pair_keys` and
    #: :meth:`~negsamp.triples.TripleSet.completion_keys`; a query with another key has no pool
    keys: LongTensor = field(default_factory=_empty)
    #: shape: (2 * num_triples,): which of :meth:`negsamp.triples.TripleSet.completions` are no members of their query's
    #: pool although its span holds them; None: the spans are the pools
    outsiders: BoolTensor | None = None

    @classmethod
    def everything(cls, triples: TripleSet) -> Pools:
        """Return the pool of all entities, which needs no array."""
        offsets = torch.tensor([0, triples.num_entities, triples.num_entities])
        return cls(LookUp.NOTHING, triples.num_entities, triples.num_relations, None, offsets)

    @classmethod
    def from_rows(
        cls,
        look_up: LookUp,
        triples: TripleSet,
        rows: LongTensor,
        entities: LongTensor,
        num_rows: int,
        **kwargs: torch.Tensor,
    ) -> Pools:
        """Collect the pools from single memberships, in any order and with repeats.

        :param look_up: what the rows are numbered by
        :param triples: the graph
        :param rows: shape: (num_memberships,), the pool
        :param entities: shape: (num_memberships,), its member
        :param num_rows: the number of pools
        :param kwargs: :attr:`index`, :attr:`keys` and :attr:`outsiders`, where the pools have them
        """
        keys = torch.unique(rows * triples.num_entities + entities)
        counts = torch.bincount(keys // triples.num_entities, minlength=num_rows + 1)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(dim=0)])
        members = keys % triples.num_entities
        return cls(look_up, triples.num_entities, triples.num_relations, members, offsets, **kwargs)

    @classmethod
    def from_sparse(
        cls, look_up: LookUp, triples: TripleSet, matrix: sparse.csr_array, **kwargs: torch.Tensor
    ) -> Pools:
        """Collect the pools from a boolean matrix, shape: (num_rows, num_entities); ``kwargs`` as above."""
        matrix.sort_indices()
        offsets = torch.as_tensor(matrix.indptr, dtype=torch.long)
        members = torch.as_tensor(matrix.indices, dtype=torch.long)
        offsets = torch.cat([offsets, offsets[-1:]])
        return cls(look_up, triples.num_entities, triples.num_relations, members, offsets, **kwargs)

    @property
    def num_spans(self) -> int:
        """The number of spans, the empty last one counted."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> LongTensor:
        """How many entities each span holds; shape: (num_spans,)."""
        return self.offsets.diff()

    @property
    def is_by_replaced(self) -> bool:
        """Whether a query's pool depends on the entity that is replaced, so that one pair may have several spans."""
        return self.look_up in (LookUp.REPLACED, LookUp.COMPLETION)

    def excluded_positives(self, triples: TripleSet, *, filtered: bool) -> KnownPositives:
        """Return the known positives that must not be drawn: all of them, or only those that are no members."""
        if filtered:
            return triples.known_positives
        nothing = torch.zeros(2 * len(triples.triples), dtype=torch.bool)
        return KnownPositives(triples, nothing if self.outsiders is None else self.outsiders)

    def spans(
        self, anchors: LongTensor, relations: LongTensor, sides: LongTensor, replaced: LongTensor, keys: LongTensor
    ) -> LongTensor:
        """Find the span of each query.

        :param anchors: the entities that stay
        :param relations: the relations
        :param sides: the sides
        :param replaced: the entities that are replaced
        :param keys: the pair keys of the first three

        :returns: shape: (num_queries,), as all parameters
        """
        match self.look_up:
            case LookUp.NOTHING:
                return torch.zeros_like(anchors)
            case LookUp.RELATION:
                return 2 * relations + sides
            case LookUp.ANCHOR:
                return 2 * anchors + sides
            case LookUp.REPLACED:
                return self.index[replaced]
            case LookUp.PAIR:
                return self._spans_of(keys)
            case LookUp.COMPLETION:
                return self._spans_of(keys * self.num_entities + replaced)

    def _spans_of(self, keys: LongTensor) -> LongTensor:
        position = find(self.keys, keys)
        return torch.where(position < 0, self.num_spans - 1, take(self.index, position))

    def positions(self, spans: LongTensor, entities: LongTensor) -> LongTensor:
        """Find where an entity lies inside a span.

        :param spans: shape: (num_queries,)
        :param entities: shape: (num_queries,)

        :returns: shape: (num_queries,), counted from the start of the span; −1 where it is not a member
        """
        starts, ends = self.offsets[spans], self.offsets[spans + 1]
        if self.members is None:
            return torch.where(entities < ends, entities, -1)
        at = bisect(self.members, starts, ends, entities - 1)
        found = (at < ends) & (take(self.members, at) == entities)
        return torch.where(found, at - starts, -1)


def take(values: LongTensor, positions: LongTensor) -> LongTensor:
    """Return the values at these positions; any value for a position that is out of range."""
    if not len(values):
        return torch.full_like(positions, -1)
    return values[positions.clamp(min=0, max=len(values) - 1)]


def bisect(
    values: LongTensor, low: LongTensor, high: LongTensor, wanted: LongTensor, offset: LongTensor | None = None
) -> LongTensor:
    """Count on to the first value above the wanted one, inside many segments of one array at once.

    :param values: shape: (num_values,), ascending inside each segment
    :param low: where each segment starts
    :param high: where it ends
    :param wanted: the value to pass
    :param offset: where given, ``values[i]`` stands for ``values[i] + i − offset``

    :returns: positions in [low, high], of the shape of the three
    """
    while True:
        unfinished = low < high
        if not unfinished.any():
            return low
        middle = torch.where(unfinished, (low + high) // 2, 0)
        value = values[middle]
        if offset is not None:
            value = value + middle - offset
        beyond = unfinished & (value <= wanted)
        high = torch.where(unfinished & ~beyond, middle, high)
        low = torch.where(beyond, middle + 1, low)
