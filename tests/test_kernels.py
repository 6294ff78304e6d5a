"""The compiled loops do what a few lines of plain Python do."""

from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from negsamp import kernels
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


def lists_of(members: torch.Tensor | None, starts: torch.Tensor, ends: torch.Tensor, known: list[list[int]]) -> Lists:
    """Exclude from each span what is known."""
    entities, *bounds = laid_out(known, torch.int32)
    size = len(entities) + len(known)
    ranks, guide = torch.full((2, size), -7, dtype=torch.int32)
    offsets = kernels.exclude(members, starts, ends, entities, *bounds, ranks, guide, 0)
    return Lists(torch.cat([offsets.new_zeros(1), offsets]), ranks[: offsets[-1]], guide[: offsets[-1]])


def rows(lists: Lists, values: torch.Tensor) -> list[list[int]]:
    return [part.tolist() for part in values.split(lists.offsets.diff().tolist())]


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
    assert rows(lists, lists.ranks) == [
        [*(place - j for j, place in enumerate(row)), kernels.NEVER] for row in expected
    ]


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
    lists = lists_of_places(spans)
    for i, (length, excluded) in enumerate(spans):
        first, last = lists.offsets[i : i + 2].tolist()
        assert last - first == len(excluded) + 1
        assert lists.ranks[last - 1] == kernels.NEVER
        drawable = length - len(excluded)
        scale = min(len(excluded) + 1, drawable) / max(drawable, 1)
        begun: set[int] = set()
        for rank in range(drawable):
            part = int(rank * scale)
            passed = sum(other <= rank for other in (lists.ranks[first : last - 1]).tolist())
            guided = int(lists.guide[first + part]) - first
            # exact where a part begins, and never too far inside it
            assert guided <= passed
            assert part in begun or guided == passed
            begun.add(part)


@given(one=spans(), other=spans())
@settings(deadline=None)
def test_lists_are_laid_behind_each_other(one: list[tuple[int, list[int]]], other: list[tuple[int, list[int]]]):
    joined, both = lists_of_places(one).then(lists_of_places(other)), lists_of_places([*one, *other])
    assert all(torch.equal(a, b) for a, b in zip(vars(joined).values(), vars(both).values(), strict=True))


@given(spans=spans(), data=st.data())
@settings(deadline=None)
def test_the_rank_of_an_entity_counts_those_that_can_be_drawn_before_it(
    spans: list[tuple[int, list[int]]], data: st.DataObject
):
    lists = lists_of_places(spans)
    spread = [sorted(data.draw(st.sets(st.integers(0, 99), min_size=length, max_size=length))) for length, _ in spans]
    entities = [data.draw(st.sampled_from(row) if row else ids) for row in spread]
    members, starts, ends = laid_out(spread, torch.int32)
    rows, replaced = torch.arange(len(spans)), torch.tensor(entities)
    offsets = torch.cat([starts, ends[-1:]])
    free, own, first, last, shift = kernels.ask(members, offsets, rows, lists, rows, replaced)
    for row, (_, excluded), entity, rank, number in zip(
        spread, spans, entities, own.tolist(), free.tolist(), strict=True
    ):
        left = [value for place, value in enumerate(row) if place not in excluded]
        assert rank == (left.index(entity) if entity in left else kernels.NEVER)
        assert number == len(left) - (entity in left)
    assert torch.equal(first, lists.offsets[:-1])
    assert torch.equal(last, lists.offsets[1:] - 1)
    assert torch.equal(shift, starts - first)
    free, own, *_ = kernels.ask(members, offsets, rows, lists, rows, None)
    assert free.tolist() == [length - len(excluded) for length, excluded in spans]
    assert (own == kernels.NEVER).all()


def test_one_entity_of_each_positive_is_replaced():
    positives = torch.tensor([[1, 2, 3], [4, 5, 6]])
    sides = torch.tensor([[0, 1], [1, 1]], dtype=torch.int8)
    entities = torch.tensor([[7, 8], [9, 10]], dtype=torch.int32)
    negatives = kernels.replace(positives, sides, entities)
    assert negatives.tolist() == [[[7, 2, 3], [1, 2, 8]], [[4, 5, 9], [4, 5, 10]]]
    assert negatives.dtype == torch.long
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
