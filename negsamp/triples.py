"""The set of training triples T, and the keys by which it is searched."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from pykeen.typing import COLUMN_RELATION, BoolTensor, LongTensor

from negsamp.kernels import find, hashed

__all__ = [
    "HEAD",
    "TAIL",
    "KnownPositives",
    "TripleSet",
    "distinct",
    "find",
    "is_doubled",
    "narrowed",
    "sorted_distinct",
    "take",
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
    sizes = (mapped_triples.amax(dim=0) + 1).tolist()
    if math.prod(sizes) >= 2**63:
        raise ValueError(f"triples of {sizes} heads, relations and tails do not fit into 64-bit keys")
    return _distinct(mapped_triples, *sizes[1:])[0]


def _distinct(mapped_triples: LongTensor, num_relations: int, num_entities: int) -> tuple[LongTensor, LongTensor]:
    """Return the distinct triples in lexicographic order, and one integer a triple, ascending."""
    heads, relations, tails = mapped_triples.unbind(dim=-1)
    # several times faster than unique rows
    keys = (heads * num_relations + relations) * num_entities + tails
    if bool((keys[1:] > keys[:-1]).all()):
        return mapped_triples, keys
    keys = sorted_distinct(keys)
    rest = keys // num_entities
    return torch.stack([rest // num_relations, rest % num_relations, keys % num_entities], dim=-1), keys


def sorted_distinct(keys: LongTensor) -> LongTensor:
    """Sort integers and drop repeats, in the memory of the argument, which is spent."""
    # NumPy sorts in place, without the positions that torch.unique keeps beside the values
    keys.numpy().sort()
    is_repeated = keys[1:] == keys[:-1]
    found: LongTensor = torch.unique_consecutive(keys) if is_repeated.any() else keys
    return found


def narrowed(values: LongTensor) -> LongTensor:
    """Return integers of at least 0 in the narrowest type that holds them, 32 or 64 bits wide."""
    return values.int() if not len(values) or int(values.max()) < 2**31 else values


def triples_digest(mapped_triples: LongTensor) -> str:
    """Name a set of id-based triples: the same set gives the same digest, whatever its order or repeats.

    :param mapped_triples: shape: (num_triples, 3)
    """
    return _digest(distinct(mapped_triples.cpu()))


def _digest(distinct_triples: LongTensor) -> str:
    array = distinct_triples.contiguous().numpy().astype("<i8", copy=False)
    return hashlib.sha256(array.data).hexdigest()[:16]


def is_doubled(mapped_triples: LongTensor, num_relations: int) -> bool:
    """Tell whether PyKEEN has added inverse triples: odd relation ids hold exactly the reverse of the even ones.

    :param mapped_triples: shape: (num_triples, 3)
    :param num_relations: the number of relations, inverse ones counted
    """
    inverse = mapped_triples[:, COLUMN_RELATION] % 2 == 1
    if num_relations % 2 or not len(inverse) or 2 * int(inverse.sum()) != len(inverse):
        return False
    forward, backward = mapped_triples[~inverse], mapped_triples[inverse]
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
    #: shape: (num_triples,), ascending: one integer a triple
    keys: LongTensor
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
        self.triples, self.keys = _distinct(mapped_triples, num_relations, num_entities)

    @cached_property
    def table(self) -> LongTensor:
        """A hash table of :attr:`keys`, with open addressing and linear probing [knuth1998]_.

        Shape: (2 * num_triples + 1,): the position of the key that is kept at each place, −1 where there is none.
        """
        return hashed(self.keys)

    @property
    def graph(self) -> tuple[int, int, NDArray[np.int64], NDArray[np.integer]]:
        """What compiled loops need to look triples up: the numbers of entities and relations, keys, and hash table."""
        return self.num_entities, self.num_relations, self.keys.numpy(), self.table.numpy()

    @cached_property
    def identity(self) -> dict[str, int | str]:
        """What decides the meaning of ids: pools, schemas and models that were made for other triples have another."""
        return {
            "num_entities": self.num_entities,
            "num_relations": self.num_relations,
            "triples_digest": _digest(self.triples),
        }

    @cached_property
    def known_positives(self) -> KnownPositives:
        """The known positives of every pair."""
        return KnownPositives(self)

    def positions(self, heads: LongTensor, relations: LongTensor, tails: LongTensor) -> LongTensor:
        """Find triples in :attr:`triples`, −1 where they are no training triples; all of one shape."""
        return find(self.keys, (heads * self.num_relations + relations) * self.num_entities + tails)

    def contains(self, heads: LongTensor, relations: LongTensor, tails: LongTensor) -> BoolTensor:
        """Tell which triples are training triples; the three tensors and the result have one shape."""
        return self.positions(heads, relations, tails) >= 0

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
        anchors, relations, replaced = (
            torch.cat(both) for both in zip(*(columns for _, columns in self.sides()), strict=True)
        )
        return anchors, relations, torch.arange(2).repeat_interleave(len(self.triples)), replaced

    def sides(self) -> Iterator[tuple[int, tuple[LongTensor, LongTensor, LongTensor]]]:
        """Give :meth:`completions` a side at a time without a copy: the side; anchors, relations, replaced entities."""
        heads, relations, tails = self.triples.unbind(dim=-1)
        yield HEAD, (tails, relations, heads)
        yield TAIL, (heads, relations, tails)

    def orient(self, batch: LongTensor) -> tuple[LongTensor, BoolTensor | None]:
        """Return triples as the original graph has them: (t, r⁻¹, h) becomes (h, r, t).

        :param batch: shape: (batch_size, 3)

        :returns: the triples, shape: (batch_size, 3); and which were turned round, shape: (batch_size,), or None if
            the graph has no inverse triples
        """
        if not self.doubled:
            return batch, None
        turned = batch[:, COLUMN_RELATION] % 2 == 1
        triples = torch.where(turned.unsqueeze(dim=-1), batch.flip(-1), batch)
        triples[:, COLUMN_RELATION] //= 2
        return triples, turned


class KnownPositives:
    """The entities that complete each pair to a training triple, one sorted list a pair (CSR)."""

    #: shape: (num_pairs,), ascending
    keys: LongTensor
    #: shape: (num_pairs + 2,); the last list is empty: that of pairs with no known positive
    offsets: LongTensor
    #: shape: (num_known,)
    entities: LongTensor
    #: shape: (num_known,): the list of each of :meth:`TripleSet.completions` that is kept
    completion_rows: LongTensor

    def __init__(self, triples: TripleSet, which: BoolTensor | None = None) -> None:
        """Collect the lists.

        :param triples: the graph
        :param which: shape: (2 * num_triples,), which of :meth:`TripleSet.completions` to keep;
            None: all
        """
        keys: list[LongTensor] = []
        starts: list[LongTensor] = []
        entities: list[LongTensor] = []
        rows: list[LongTensor] = []
        kept = (slice(None), slice(None)) if which is None else which.chunk(2)
        for side, (anchors, relations, replaced) in triples.sides():
            pair_keys = triples.pair_keys(anchors, relations, anchors.new_tensor(side))[kept[side]]
            completions = sorted_distinct(triples.completion_keys(pair_keys, replaced[kept[side]]))
            count = sum(len(part) for part in entities)
            entities.append((completions % triples.num_entities).int())
            pair_of_each = completions.floor_divide_(triples.num_entities)
            is_first = torch.ones_like(pair_of_each, dtype=torch.bool)
            torch.ne(pair_of_each[1:], pair_of_each[:-1], out=is_first[1:])
            starts.append(is_first.nonzero().squeeze(dim=-1).add_(count))
            pairs = pair_of_each[is_first]
            rows.append(find(pairs, pair_keys).add_(sum(len(part) for part in keys)).int())
            keys.append(pairs)
        self.keys, self.entities, self.completion_rows = torch.cat(keys), torch.cat(entities), torch.cat(rows)
        ends = torch.tensor([len(self.entities)] * 2)
        self.offsets = narrowed(torch.cat([*starts, ends]))

    def rows(self, keys: LongTensor) -> LongTensor:
        """Find the list of each pair key."""
        if keys is self.keys:
            return torch.arange(len(keys))
        rows = find(self.keys, keys)
        return torch.where(rows < 0, len(self.keys), rows)


def take(values: LongTensor, positions: LongTensor) -> LongTensor:
    """Return the values at these positions, in their shape: indexing with brackets is three times slower."""
    return values.index_select(0, positions.flatten()).view(positions.shape)
