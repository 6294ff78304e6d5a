"""What stored pools must be, whoever wrote the file: compiled loops follow positions without looking at bounds."""

from __future__ import annotations

import torch
from pykeen.typing import LongTensor

from negsamp.ids import are_ids
from negsamp.kernels.lists import DRAWABLE, ENTRIES, EXCLUDED, NEVER, ROOM, START
from negsamp.pools.exclusions import Lists
from negsamp.pools.queries import Queries
from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet, take

__all__ = ["check_lists", "check_pools"]

_INTEGERS = (torch.int32, torch.int64)


def check_pools(pools: Pools, triples: TripleSet) -> None:
    """Refuse pools whose arrays do not fit together, or that a query of the graph would lead out of.

    :param pools: the pools
    :param triples: the graph

    :raises ValueError: if something is not as :class:`negsamp.pools.Pools` has it; the message says what
    """
    _check_spans(pools)
    num_spans = {
        LookUp.NOTHING: 2,
        LookUp.RELATION: 2 * pools.num_relations + 1,
        LookUp.ANCHOR: 2 * pools.num_entities + 1,
    }.get(pools.look_up, pools.num_spans)
    _require(pools.num_spans == num_spans, f"there are {pools.num_spans} spans, expected {num_spans}")
    _require_row("index", pools.index, *_INTEGERS)
    _require(are_ids(pools.index, pools.num_spans), "the index names spans that there are not")
    _require_row("keys", pools.keys, torch.int64)
    _require(bool((pools.keys[1:] > pools.keys[:-1]).all()), "keys do not ascend")
    num_looked_up = pools.num_entities if pools.look_up is LookUp.REPLACED else len(pools.keys)
    _require(len(pools.index) == num_looked_up, f"the index has {len(pools.index)} entries, expected {num_looked_up}")
    if pools.outsiders is not None:
        _require_row("outsiders", pools.outsiders, torch.bool)
        _require(len(pools.outsiders) == 2 * len(triples.triples), "outsiders are not one a completion")


def _check_spans(pools: Pools) -> None:
    offsets, members = pools.offsets, pools.members
    _require_row("offsets", offsets, torch.int64)
    _require(len(offsets) > 1 and bool((offsets[1:] >= offsets[:-1]).all()), "offsets descend")
    size = pools.num_entities if members is None else len(members)
    _require(int(offsets[0]) == 0 and bool((offsets[-2:] == size).all()), "offsets do not span the members")
    if members is not None:
        _require_row("members", members, torch.int32)
        _require(are_ids(members, pools.num_entities), "members are no entities")
        ascends = members[1:] > members[:-1]
        starts = offsets[(offsets > 0) & (offsets < size)]
        ascends[starts - 1] = True
        _require(bool(ascends.all()), "members do not ascend")


def check_lists(lists: Lists, pools: Pools, triples: TripleSet) -> None:
    """Refuse lists that a draw would be led out of, or that are of other spans than those of the training triples.

    Which members are excluded is not looked at: to know, they would have to be found anew.

    :param lists: the lists of :meth:`negsamp.triples.TripleSet.completions`
    :param pools: the pools, which were checked
    :param triples: the graph

    :raises ValueError: if something is not as :class:`negsamp.pools.exclusions.Lists` has it; the message says what
    """
    places, entries = lists.places, lists.entries
    _require_row("places", places, *_INTEGERS)
    _require_row("entries", entries, *_INTEGERS)
    _require(len(places) == 2 * len(triples.triples), "places are not one a completion")
    _require(are_ids(places, len(entries) - ROOM + 1), "places lie outside the entries")
    begins = torch.unique(places).long()
    drawable, excluded = (take(entries, begins + field).long() for field in (DRAWABLE, EXCLUDED))
    # first of all, so that no sum overflows
    _require(all(are_ids(count, len(entries) + pools.num_entities) for count in (drawable, excluded)), "counts are off")
    ends = begins + ROOM + 2 * excluded
    starts = torch.cat([begins, ends[-1:]])
    _require(len(entries) == 0 or int(starts[0]) == 0, "the first list does not begin the entries")
    _require(
        bool((starts[1:] == ends).all()) and int(ends[-1:].sum()) == len(entries), "lists do not end where others begin"
    )
    _check_ranks(entries, begins, drawable, excluded)
    spans = pools.spans(Queries(triples, triples.completions()))
    found = take(entries, places + START), take(entries, places + DRAWABLE) + take(entries, places + EXCLUDED)
    wanted = take(pools.offsets, spans), take(pools.lengths, spans)
    _require(all(bool((a == b).all()) for a, b in zip(found, wanted, strict=True)), "lists are of other spans")


def _check_ranks(entries: LongTensor, begins: LongTensor, drawable: LongTensor, excluded: LongTensor) -> None:
    is_entry = torch.ones(len(entries), dtype=torch.bool)
    for field in range(ENTRIES):
        is_entry[begins + field] = False
    guides, ranks = entries[is_entry].reshape(-1, 2).unbind(dim=-1)
    counts = excluded + 1
    is_last = torch.zeros(len(ranks), dtype=torch.bool)
    is_last[counts.cumsum(dim=0) - 1] = True
    _require(bool((ranks[is_last] == NEVER).all()), "a list is not closed")
    is_ordered = (ranks[1:] >= ranks[:-1]) | is_last[:-1]
    is_rank = (ranks >= 0) & (ranks <= drawable.repeat_interleave(counts)) | is_last
    _require(bool(is_ordered.all() and is_rank.all()), "ranks are out of order")
    _require(bool(((guides >= 0) & (guides <= excluded.repeat_interleave(counts))).all()), "guides lead out of a list")


def _require(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise ValueError(otherwise)


def _require_row(name: str, tensor: torch.Tensor, *dtypes: torch.dtype) -> None:
    _require(tensor.dim() == 1 and tensor.dtype in dtypes, f"{name} are {tensor.dtype}, shape {tuple(tensor.shape)}")
