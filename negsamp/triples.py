"""The set of training triples T, and the keys by which it is searched."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property

import torch
from pykeen.typing import COLUMN_HEAD, COLUMN_RELATION, COLUMN_TAIL, BoolTensor, LongTensor

__all__ = [
    "HEAD",
    "TAIL",
    "KnownPositives",
    "TripleSet",
    "distinct",
    "find",
    "is_doubled",
    "triples_digest",
]

#: the two sides, as they are stored: the position that is replaced
HEAD, TAIL = 0, 1


def distinct(mapped_triples: LongTensor) -> LongTensor:
    """Return the distinct triples in lexicographic order.

    :param mapped_triples: shape: (num_triples, 3)

    :returns: shape: (num_distinct, 3)

    :raises ValueError: if triples of such ids cannot be numbered in 63 bits
    """
    if not len(mapped_triples):
        return mapped_triples
    # one key a triple: several times faster than unique rows
    sizes = mapped_triples.amax(dim=0) + 1
    if math.prod(sizes.tolist()) >= 2**63:
        raise ValueError(f"triples of {sizes.tolist()} heads, relations and tails do not fit into 64-bit keys")
    _, relations, tails = sizes.unbind()
    keys = torch.unique((mapped_triples[:, 0] * relations + mapped_triples[:, 1]) * tails + mapped_triples[:, 2])
    rest = keys // tails
    return torch.stack([rest // relations, rest % relations, keys % tails], dim=-1)


def triples_digest(mapped_triples: LongTensor) -> str:
    """Name a set of id-based triples: the same set gives the same digest, whatever its order or repeats.

    :param mapped_triples: shape: (num_triples, 3)
    """
    array = distinct(mapped_triples.cpu()).contiguous().numpy().astype("<i8")
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def is_doubled(mapped_triples: LongTensor, num_relations: int) -> bool:
    """Tell whether PyKEEN has added inverse triples: odd relation ids hold exactly the reverse of the even ones.

    :param mapped_triples: shape: (num_triples, 3)
    :param num_relations: the number of relations, inverse ones counted
    """
    inverse = mapped_triples[:, COLUMN_RELATION] % 2 == 1
    forward, backward = mapped_triples[~inverse], mapped_triples[inverse]
    if num_relations % 2 or not len(backward) or len(forward) != len(backward):
        return False
    reversed_ = torch.stack([backward[:, 2], backward[:, 1] - 1, backward[:, 0]], dim=-1)
    forward, reversed_ = distinct(forward), distinct(reversed_)
    return forward.shape == reversed_.shape and bool((forward == reversed_).all())


class TripleSet:
    """The distinct training triples without artificial inverses, sorted for exact membership.

    A **pair** is an anchor, a relation and a side: (h, r, tail) or (t, r, head). Its **known positives** are the
    entities that complete it to a training triple.
    """

    #: shape: (num_triples, 3), distinct, in lexicographic order
    triples: LongTensor
    #: number of entities
    num_entities: int
    #: number of relations, without artificial inverses
    num_relations: int
    #: whether the given triples held artificial inverses
    doubled: bool

    def __init__(self, mapped_triples: LongTensor, num_entities: int, num_relations: int) -> None:
        """Sort the triples.

        :param mapped_triples: shape: (num_triples, 3), with or without artificial inverses
        :param num_entities: the number of entities
        :param num_relations: the number of relations, artificial inverses counted

        :raises ValueError: if pairs of these entities and relations cannot be numbered in 63 bits
        """
        self.doubled = is_doubled(mapped_triples, num_relations)
        if self.doubled:
            mapped_triples = mapped_triples[mapped_triples[:, COLUMN_RELATION] % 2 == 0]
            mapped_triples = mapped_triples // mapped_triples.new_tensor([1, 2, 1])
            num_relations //= 2
        if 2 * num_entities**2 * num_relations >= 2**63:
            raise ValueError(f"{num_entities} entities and {num_relations} relations do not fit into 64-bit keys")
        self.num_entities = num_entities
        self.num_relations = num_relations
        self.triples = distinct(mapped_triples)
        self._keys = self._triple_keys(*self.triples.unbind(dim=-1))

    @cached_property
    def identity(self) -> dict[str, int | str]:
        """What decides the meaning of ids: pools, schemas and models that were made for other triples have another."""
        return {
            "num_entities": self.num_entities,
            "num_relations": self.num_relations,
            "triples_digest": triples_digest(self.triples),
        }

    @cached_property
    def known_positives(self) -> KnownPositives:
        """The known positives of every pair."""
        return KnownPositives(self)

    def _triple_keys(self, heads: LongTensor, relations: LongTensor, tails: LongTensor) -> LongTensor:
        return (heads * self.num_relations + relations) * self.num_entities + tails

    def contains(self, heads: LongTensor, relations: LongTensor, tails: LongTensor) -> BoolTensor:
        """Tell which triples are training triples; the three tensors and the result have one shape."""
        return find(self._keys, self._triple_keys(heads, relations, tails)) >= 0

    def pair_keys(self, anchors: LongTensor, relations: LongTensor, sides: LongTensor) -> LongTensor:
        """Give each pair one integer, the same for the same pair; the tensors and the result have one shape."""
        return (sides * self.num_entities + anchors) * self.num_relations + relations

    def unpair(self, keys: LongTensor) -> tuple[LongTensor, LongTensor, LongTensor]:
        """Return anchors, relations and sides of pair keys: the inverse of :meth:`pair_keys`."""
        rest, relations = keys // self.num_relations, keys % self.num_relations
        return rest % self.num_entities, relations, rest // self.num_entities

    def completion_keys(self, pair_keys: LongTensor, entities: LongTensor) -> LongTensor:
        """Give each pair and entity one integer; the tensors and the result have one shape."""
        return pair_keys * self.num_entities + entities

    def completions(self) -> tuple[LongTensor, LongTensor, LongTensor, LongTensor]:
        """Return each triple twice, once a side, as what stays and what is replaced.

        :returns: anchors, relations, sides, replaced entities; shape of each: (2 * num_triples,)
        """
        heads, relations, tails = self.triples.unbind(dim=-1)
        sides = torch.arange(2).repeat_interleave(len(self.triples))
        # side 0 replaces the head and keeps the tail
        return torch.cat([tails, heads]), relations.repeat(2), sides, torch.cat([heads, tails])

    def orient(self, batch: LongTensor) -> tuple[LongTensor, LongTensor, LongTensor, BoolTensor]:
        """Return triples as the original graph has them: (t, r⁻¹, h) becomes (h, r, t).

        :param batch: shape: (batch_size, 3)

        :returns: heads, relations, tails, and whether the triple was turned round; shape of each: (batch_size,)
        """
        heads, relations, tails = batch[:, COLUMN_HEAD], batch[:, COLUMN_RELATION], batch[:, COLUMN_TAIL]
        if not self.doubled:
            return heads, relations, tails, torch.zeros_like(heads, dtype=torch.bool)
        turned = relations % 2 == 1
        return (
            torch.where(turned, tails, heads),
            relations // 2,
            torch.where(turned, heads, tails),
            turned,
        )


class KnownPositives:
    """The entities that complete each pair to a training triple, one sorted list a pair (CSR)."""

    #: shape: (num_pairs,), ascending
    keys: LongTensor
    #: shape: (num_pairs + 2,); the last list is empty: that of pairs with no known positive
    offsets: LongTensor
    #: shape: (num_known,)
    entities: LongTensor

    def __init__(self, triples: TripleSet, which: BoolTensor | None = None) -> None:
        """Collect the lists.

        :param triples: the graph
        :param which: shape: (2 * num_triples,), which of :meth:`TripleSet.completions` to keep;
            None: all
        """
        anchors, relations, sides, entities = triples.completions()
        keys = triples.pair_keys(anchors, relations, sides)
        if which is not None:
            keys, entities = keys[which], entities[which]
        # stable sort by entity, then by pair: lists come out sorted
        order = torch.argsort(entities, stable=True)
        order = order[torch.argsort(keys[order], stable=True)]
        self.keys, counts = torch.unique_consecutive(keys[order], return_counts=True)
        self.offsets = torch.cat([counts.new_zeros(1), counts.cumsum(dim=0), counts.sum().reshape(1)])
        self.entities = entities[order]

    def rows(self, keys: LongTensor) -> LongTensor:
        """Find the list of each pair key."""
        rows = find(self.keys, keys)
        return torch.where(rows < 0, len(self.keys), rows)


def find(keys: LongTensor, wanted: LongTensor) -> LongTensor:
    """Return the position of each wanted key among sorted distinct keys, −1 where it is not one of them.

    :param keys: shape: (num_keys,), ascending
    :param wanted: any shape

    :returns: the shape of ``wanted``
    """
    if not len(keys):
        return torch.full_like(wanted, -1)
    positions = torch.searchsorted(keys, wanted.contiguous()).clamp(max=len(keys) - 1)
    return torch.where(keys[positions] == wanted, positions, -1)
