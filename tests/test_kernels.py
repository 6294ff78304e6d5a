"""The compiled loops do what a few lines of plain Python do."""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from negsamp import kernels
from negsamp.kernels.search import home_of, position_of
from negsamp.pools.exclusions import Lists

ids = st.integers(0, 30)
sorted_ids = st.sets(ids).map(sorted)
lists_of_ids = st.lists(sorted_ids, min_size=1, max_size=6)


def laid_out(
    lists: list[list[int]], dtype: torch.dtype = torch.long
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lay lists end to end: the values, and where each list starts and ends."""
    ends = torch.tensor([len(values) for values in lists]).cumsum(dim=0)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    return torch.tensor(list(chain(*lists)), dtype=dtype), starts, ends


@given(keys=sorted_ids, wanted=st.lists(st.integers(-5, 35)), repeats=st.integers(1, 300))
@settings(deadline=None)
def test_each_key_is_found_and_no_other(keys: list[int], wanted: list[int], repeats: int):
    found = kernels.find(torch.tensor(keys, dtype=torch.long), torch.tensor(wanted * repeats, dtype=torch.long))
    assert found.tolist() == [keys.index(key) if key in keys else -1 for key in wanted] * repeats


def test_what_is_looked_up_keeps_its_shape():
    keys = torch.tensor([2, 3, 5])
    assert kernels.find(keys, torch.tensor([[5, 4], [2, 3]])).tolist() == [[2, -1], [0, 1]]
    assert kernels.find(keys, torch.tensor([[5, 4], [2, 3]]).T).tolist() == [[2, 0], [-1, 1]]
    assert kernels.find(keys[:0], torch.tensor([5])).tolist() == [-1]


@dataclass
class Excluded:
    """A list as it is laid out."""

    start: int
    drawable: int
    excluded: int
    guides: list[int]
    ranks: list[int]


def lists_of(members: torch.Tensor | None, starts: torch.Tensor, ends: torch.Tensor, known: list[list[int]]) -> Lists:
    """Exclude from each span what is known."""
    entities, *bounds = laid_out(known, torch.int32)
    entries = torch.full((2 * len(entities) + kernels.ROOM * len(known),), -7, dtype=torch.int32)
    places, end = kernels.exclude(members, starts, ends, entities, *bounds, entries, 0)
    return Lists(places, entries[:end])


def read(lists: Lists) -> list[Excluded]:
    """Take lists to pieces."""
    found = []
    for part in lists.entries.tensor_split(lists.places[1:]):
        guides, ranks = part[3:].view(-1, 2).T.tolist()
        found.append(Excluded(*part[:3].tolist(), guides, ranks))
    return found


@given(data=st.data(), spans=lists_of_ids, is_everything=st.booleans())
@settings(deadline=None)
def test_what_span_and_known_positives_share_is_excluded(
    data: st.DataObject, spans: list[list[int]], is_everything: bool
):
    known = [data.draw(sorted_ids) for _ in spans]
    if is_everything:
        spans = [list(range(31))] * len(spans)
        members, starts, ends = None, torch.zeros(len(spans), dtype=torch.long), torch.full((len(spans),), 31)
    else:
        members, starts, ends = laid_out(spans, torch.int32)
    lists = lists_of(members, starts, ends, known)
    expected = [
        [place for place, entity in enumerate(span) if entity in other]
        for span, other in zip(spans, known, strict=True)
    ]
    found = read(lists)
    assert [part.ranks for part in found] == [
        [*(place - j for j, place in enumerate(row)), kernels.NEVER] for row in expected
    ]
    assert [part.excluded for part in found] == [len(row) for row in expected]
    assert [part.start for part in found] == starts.tolist()
    assert [part.drawable + part.excluded for part in found] == (ends - starts).tolist()


@st.composite
def spans(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """Draw spans: how long each is, and which of its positions are excluded."""
    lengths = draw(st.lists(st.integers(0, 40), min_size=1, max_size=5))
    return [(length, sorted(draw(st.sets(st.integers(0, length - 1)))) if length else []) for length in lengths]


def lists_of_places(spans: list[tuple[int, list[int]]]) -> Lists:
    lengths = torch.tensor([length for length, _ in spans])
    return lists_of(None, torch.zeros_like(lengths), lengths, [excluded for _, excluded in spans])


@given(spans=spans())
@settings(deadline=None)
def test_the_guide_begins_at_the_first_rank_above_the_first_of_its_part(spans: list[tuple[int, list[int]]]):
    for found, (length, excluded) in zip(read(lists_of_places(spans)), spans, strict=True):
        drawable = length - len(excluded)
        scale = min(len(excluded) + 1, drawable) / max(drawable, 1)
        begun: set[int] = set()
        for rank in range(drawable):
            part = int(rank * scale)
            passed = sum(other <= rank for other in found.ranks[:-1])
            # exact where a part begins, and never too far inside it
            assert found.guides[part] <= passed
            assert part in begun or found.guides[part] == passed
            begun.add(part)


@given(spans=spans(), data=st.data())
@settings(deadline=None)
def test_the_rank_of_an_entity_counts_those_that_can_be_drawn_before_it(
    spans: list[tuple[int, list[int]]], data: st.DataObject
):
    spread = [sorted(data.draw(st.sets(st.integers(0, 99), min_size=length, max_size=length))) for length, _ in spans]
    entities = [data.draw(st.sampled_from(row) if row else ids) for row in spread]
    members, starts, ends = laid_out(spread, torch.int32)
    lists = lists_of(
        members, starts, ends, [[row[i] for i in places] for row, (_, places) in zip(spread, spans, strict=True)]
    )
    own = kernels.own_ranks(members.numpy(), lists.entries.numpy(), lists.places.numpy(), np.array(entities))
    for row, (_, excluded), entity, rank in zip(spread, spans, entities, own.tolist(), strict=True):
        left = [value for place, value in enumerate(row) if place not in excluded]
        assert rank == (left.index(entity) if entity in left else kernels.NEVER)


@given(keys=st.sets(st.integers(0, 2**62), max_size=60), others=st.lists(st.integers(0, 2**62), max_size=20))
@settings(deadline=None)
def test_the_hash_table_holds_each_key_once_and_no_other(keys: set[int], others: list[int]):
    values = torch.tensor(sorted(keys), dtype=torch.long)
    table = kernels.hashed(values)
    assert sorted(table[table >= 0].tolist()) == list(range(len(keys)))
    for key in [*keys, *others]:
        place = home_of(key, len(table))
        position = position_of(key, values.numpy(), table.numpy(), place)
        assert position == (sorted(keys).index(key) if key in keys else -1)


@given(n=st.integers(1, 12), batch_size=st.integers(0, 30), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_slots_of_each_positive_are_shared_between_the_sides(n: int, batch_size: int, seed: int):
    uniform = np.random.default_rng(seed).random((batch_size + 1, n + 1))
    sides = kernels.balanced_sides(uniform)
    assert sides.shape == (batch_size, n)
    assert {int(tails) for tails in sides.sum(axis=1)} <= {n // 2, n - n // 2}
    entities, filled_by, needs, given = kernels.empty_slots(sides)
    assert entities.shape == filled_by.shape == sides.shape
    assert needs.reshape(-1, 2).tolist() == [[n - tails, tails] for tails in sides.sum(axis=1).tolist()]
    assert (filled_by == kernels.MASKED).all()
    assert not given.any()


def test_one_entity_of_each_positive_is_replaced():
    positives = np.array([[1, 2, 3], [4, 5, 6]])
    sides = np.array([[0, 1], [1, 1]], dtype=np.int8)
    entities = np.array([[7, 8], [9, 10]], dtype=np.int32)
    negatives = kernels.replace(positives, sides, entities)
    assert negatives.tolist() == [[[7, 2, 3], [1, 2, 8]], [[4, 5, 9], [4, 5, 10]]]
    assert negatives.dtype == np.int64
    assert positives.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_a_look_up_does_not_depend_on_how_many_are_made(step: int):
    keys = torch.arange(0, 10_000, 3)
    wanted = torch.arange(-5, 10_005)
    parts = [kernels.find(keys, part) for part in wanted.split(step * 700)]
    assert torch.equal(torch.cat(parts), kernels.find(keys, wanted))
    assert torch.equal(
        kernels.find(keys, wanted), torch.where((wanted % 3 == 0) & (wanted >= 0) & (wanted < 10_000), wanted // 3, -1)
    )


def test_slots_are_counted_by_stage():
    counts = np.array([10, 20, 30, 40])
    kernels.tally(np.array([[0, 1], [-1, 0]], dtype=np.int16), counts)
    assert counts.tolist() == [11, 22, 31, 40]
