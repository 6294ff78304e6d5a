"""The one structure behind every sampler: a pool is a span of a flat array of entities."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import torch
from pykeen.typing import BoolTensor, LongTensor
from scipy import sparse

from negsamp.kernels import find
from negsamp.pools.queries import Queries
from negsamp.triples import KnownPositives, TripleSet, sorted_distinct, take

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
    #: shape: (num_members,), dtype: int32, ascending inside each span; None: the entity ids themselves
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
        return cls.from_keys(look_up, triples, rows * triples.num_entities + entities, num_rows, **kwargs)

    @classmethod
    def from_keys(
        cls, look_up: LookUp, triples: TripleSet, memberships: LongTensor, num_rows: int, **kwargs: torch.Tensor
    ) -> Pools:
        """Collect the pools from memberships as single integers: row times number of entities, plus the member.

        :param memberships: shape: (num_memberships,), which is spent; the rest is as above
        """
        memberships = sorted_distinct(memberships)
        offsets = torch.searchsorted(memberships, torch.arange(num_rows + 1) * triples.num_entities)
        members = memberships.remainder_(triples.num_entities).int()
        offsets = torch.cat([offsets, offsets[-1:]])
        return cls(look_up, triples.num_entities, triples.num_relations, members, offsets, **kwargs)

    @classmethod
    def from_sparse(
        cls, look_up: LookUp, triples: TripleSet, matrix: sparse.csr_array, **kwargs: torch.Tensor
    ) -> Pools:
        """Collect the pools from a boolean matrix, shape: (num_rows, num_entities); ``kwargs`` as above."""
        matrix.sort_indices()
        offsets = torch.as_tensor(matrix.indptr, dtype=torch.long)
        members = torch.as_tensor(matrix.indices, dtype=torch.int32)
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

    def spans(self, queries: Queries) -> LongTensor:
        """Find the span of each query; shape: (num_queries,)."""
        match self.look_up:
            case LookUp.NOTHING:
                return torch.zeros_like(queries.anchors)
            case LookUp.RELATION:
                return 2 * queries.relations + queries.sides
            case LookUp.ANCHOR:
                return 2 * queries.anchors + queries.sides
            case LookUp.REPLACED:
                return take(self.index, queries.replaced)
            case LookUp.PAIR:
                return self._spans_of(queries.keys)
            case LookUp.COMPLETION:
                return self._spans_of(queries.completion_keys)

    def _spans_of(self, keys: LongTensor) -> LongTensor:
        if not len(self.keys):
            return torch.full_like(keys, self.num_spans - 1)
        position = find(self.keys, keys)
        missing = position < 0
        return torch.where(missing, self.num_spans - 1, take(self.index, position.clamp(min=0)))
