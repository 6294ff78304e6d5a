"""The nearest entities: exact, ties to the lower id, in any block size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import nearest as plain_nearest

import negsamp.pools.search
from negsamp.pools.search import check_search, nearest, top_ids

METRICS = ["euclidean", "dot", "cosine"]


@st.composite
def whole_vectors(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Make few small whole-numbered vectors, so that ties are common."""
    dim, num_entities, num_queries = draw(st.integers(1, 3)), draw(st.integers(2, 8)), draw(st.integers(1, 4))
    vector = st.lists(st.integers(-2, 2), min_size=dim, max_size=dim)
    entities = draw(st.lists(vector, min_size=num_entities, max_size=num_entities))
    queries = draw(st.lists(vector, min_size=num_queries, max_size=num_queries))
    return torch.tensor(queries).float(), torch.tensor(entities).float(), draw(st.integers(1, num_entities - 1))


@pytest.mark.parametrize("metric", METRICS)
@given(case=whole_vectors(), data=st.data())
@settings(deadline=None, max_examples=150)
def test_nearest_equals_the_definition(metric: str, case: tuple, data: st.DataObject):
    queries, entities, k = case
    ids = st.integers(0, len(entities) - 1)
    skip = data.draw(st.none() | st.lists(ids, min_size=len(queries), max_size=len(queries)))
    found = nearest(queries, entities, k, metric=metric, skip=None if skip is None else torch.tensor(skip))
    for i, row in enumerate(found.tolist()):
        without = () if skip is None else (skip[i],)
        assert row == sorted(plain_nearest(entities.numpy(), queries[i].numpy(), k, metric, without=without))


@pytest.mark.parametrize("metric", METRICS)
def test_real_vectors_equal_the_definition(metric: str):
    generator = torch.Generator().manual_seed(0)
    queries, entities = torch.randn(50, 16, generator=generator), torch.randn(200, 16, generator=generator)
    found = nearest(queries, entities, 10, metric=metric)
    wanted = [sorted(plain_nearest(entities.numpy(), query, 10, metric)) for query in queries.numpy()]
    assert found.tolist() == wanted


@pytest.mark.parametrize("block", [1, 100, 10_000])
@pytest.mark.parametrize("metric", METRICS)
def test_the_size_of_a_block_changes_nothing(metric: str, block: int, monkeypatch: pytest.MonkeyPatch):
    vectors = torch.randint(-2, 3, (40, 3), generator=torch.Generator().manual_seed(0)).float()
    skip = torch.arange(40)
    before = nearest(vectors, vectors, 7, metric=metric, skip=skip)
    monkeypatch.setattr(negsamp.pools.search, "MEMORY_BUDGET", block)
    assert torch.equal(nearest(vectors, vectors, 7, metric=metric, skip=skip), before)
    assert (before != skip.unsqueeze(dim=-1)).all()


@given(
    rows=st.integers(1, 8).flatmap(
        lambda width: st.lists(st.lists(st.integers(0, 3), min_size=width, max_size=width), min_size=1, max_size=4)
    ),
    data=st.data(),
)
@settings(deadline=None, max_examples=200)
def test_top_ids_take_the_largest_and_the_lower_id_of_ties(rows: list[list[int]], data: st.DataObject):
    k = data.draw(st.integers(1, len(rows[0])))
    wanted = [sorted(sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]) for row in rows]
    assert top_ids(torch.tensor(rows).float(), k).tolist() == wanted


def test_single_precision_does_not_decide():
    # in single precision both squared lengths round to the same number
    entities = torch.tensor([[4097.0, 0.0], [4096.0, 90.5096664428711]])
    far, near = (entities.double() ** 2).sum(dim=-1).tolist()
    assert far > near
    assert np.float32(far) == np.float32(near)
    assert nearest(torch.zeros(1, 2), entities, 1).tolist() == [[1]]


def test_equal_cosines_are_ties():
    # both have the cosine 4 / √91 with the query
    query, entities = torch.tensor([[2.0, 2, -2, -1]]), torch.tensor([[1.0, 1, -1, 2], [1, -1, -1, -2]])
    for order in ([0, 1], [1, 0]):
        assert nearest(query, entities[order], 1, metric="cosine").tolist() == [[0]]


def test_no_query_has_no_answer():
    assert nearest(torch.empty(0, 3), torch.ones(4, 3), 2).shape == (0, 2)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric is 'manhattan'; it must be one of euclidean, dot, cosine"):
        check_search(5, "exact", "manhattan", grow=False)
