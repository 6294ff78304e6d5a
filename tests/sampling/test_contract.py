"""What every sampler keeps to; one without a case here fails the suite.

The laws that hold for any strategy are :class:`negsamp.testing.SamplerContract`, run here over the samplers of the
package with the oracle's pools; below them, each slot of any graph is checked against the oracle's rules.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from graphs import (
    Graph,
    Recorder,
    counted,
    graph_named,
    graph_of,
    keys_of,
    plain_schema,
    random_graphs,
    random_triples,
    record,
    total,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import SIDES, Side, check_slots
from pykeen.sampling import NegativeSampler, negative_sampler_resolver
from pykeen.triples.instances import BatchedSLCWAInstances
from torch.utils.data import DataLoader

import negsamp.testing
from negsamp import SAMPLERS, PoolNegativeSampler
from negsamp.datasets import SchemaDataset
from negsamp.models import save_model
from negsamp.sampling.sides import Corruption
from negsamp.triples import triples_digest

#: what each sampler needs beside the triples: a sampler that is added gets its line here
CASES: dict[str, Callable[[Graph], dict[str, Any]]] = {
    "random": lambda graph: {},
    "corrupt": lambda graph: {},
    "typed": lambda graph: {"schema": graph.schema},
    "typedbyclass": lambda graph: {"schema": graph.schema},
    "relational": lambda graph: {},
    "nearestneighbor": lambda graph: {"auxiliary": graph.model, "num_neighbors": 5},
    "adversarial": lambda graph: {"auxiliary": graph.model, "num_neighbors": 5},
    "adaptiveadversarial": lambda graph: {},
    "given": lambda graph: {"negatives": graph.negatives},
}

FALLBACKS = (None, "random", "semantic")

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def make(name: str, graph: Graph, **options: Any) -> PoolNegativeSampler:
    return SAMPLERS[name](
        mapped_triples=graph.lines,
        num_entities=graph.num_entities,
        num_relations=graph.num_relations,
        **{**CASES[name](graph), **options},
    )


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


# The laws


@cache
def graph_of_the_laws(name: str) -> Graph:
    """Return a graph of the laws as the oracle takes it."""
    dataset = negsamp.testing.graph_named(name)
    training, schema = dataset.training, plain_schema(dataset.schema)
    return Graph(name, training.mapped_triples, training.num_entities, training.num_relations, schema)


class OracleContract(negsamp.testing.SamplerContract):
    """The laws, with pools from the oracle."""

    def options(self, dataset: SchemaDataset) -> dict[str, Any]:
        return CASES[self.sampler.get_normalized_name()](graph_of_the_laws(dataset.name))

    def expected_pool(self, dataset: SchemaDataset, h: int, r: int, t: int, side: Side) -> set[int]:
        graph, name = graph_of_the_laws(dataset.name), self.sampler.get_normalized_name()
        return graph.oracle.pool(name, h, r, t, side, **graph.oracle_options(name))


# one class a sampler, under a name by which pytest collects it
for _cls in SAMPLERS.values():
    globals()[f"Test{_cls.__name__}"] = type(f"Test{_cls.__name__}", (OracleContract,), {"sampler": _cls})


# The samplers of the package


def test_every_sampler_has_a_case():
    def concrete(cls: type) -> Iterator[type]:
        for sub in cls.__subclasses__():
            # trainings that ran before in this process leave classes with timed draws
            if sub.__module__.startswith("negsamp.sampling.") and not inspect.isabstract(sub):
                yield sub
            yield from concrete(sub)

    assert set(CASES) == set(SAMPLERS)
    # and every sampler of the package is in the table
    assert set(SAMPLERS.values()) == set(concrete(PoolNegativeSampler))


def test_the_abstract_base_cannot_be_made(graph: Graph):
    with pytest.raises(TypeError, match="abstract"):
        PoolNegativeSampler(mapped_triples=graph.lines)


@every_sampler
def test_the_package_and_pykeen_know_it_by_name(name: str):
    cls = SAMPLERS[name]
    assert issubclass(cls, NegativeSampler)
    assert cls.get_normalized_name() == name
    assert negative_sampler_resolver.lookup(name) is cls
    assert getattr(negsamp, cls.__name__) is cls


# The rules of slots, on any graph


def check_batch(graph: Graph, sampler: PoolNegativeSampler, name: str, fallback: Any, batch: list) -> None:
    """Draw for a batch, and check every slot against the definitions."""
    n, filtered = sampler.num_negs_per_pos, sampler.filtered
    positives = torch.tensor(batch)
    stages = record(sampler)
    sampler.usage.end_epoch()
    negatives, mask = sampler.sample(positives)
    valid = torch.ones(len(batch), n, dtype=torch.bool) if mask is None else mask

    assert negatives.shape == (len(batch), n, 3)
    assert mask is None or (mask.shape == (len(batch), n) and mask.dtype == torch.bool)
    assert mask is None or not mask.all(), "a mask that masks nothing is None"
    # indices in range, masked slots too
    assert negatives.min() >= 0
    assert negatives[..., [0, 2]].max() < graph.num_entities
    # the relation stays, one side is changed at most, and exactly one where the slot is valid
    changed = negatives != positives[:, None]
    assert not changed[..., 1].any()
    assert (changed.sum(dim=-1) <= 1).all()
    assert changed.any(dim=-1)[valid].all()
    if filtered:
        # a masked slot repeats the positive, or holds no training triple either
        drawn = map(tuple, negatives[changed.any(dim=-1)].tolist())
        assert not set(drawn) & graph.oracle.triples

    check_usage(sampler, valid)
    changed &= valid[..., None]
    for i, triple in enumerate(batch):
        check_positive(graph, sampler, name, fallback, i, triple, negatives[i], changed[i], stages)
    check_windows(graph, sampler, batch, valid)


def check_usage(sampler: PoolNegativeSampler, valid: torch.Tensor) -> None:
    stages = sampler.stages
    assert total(sampler.usage) == valid.numel()
    assert sampler.usage["masked"] == int((~valid).sum())
    assert sampler.usage["rescued"] == int(valid.sum()) - sum(len(stage.drawn) for stage in stages)
    for stage in stages:
        assert sampler.usage[stage.name] == len(stage.drawn)
    assert set(sampler.usage) <= {"masked", "rescued", *(stage.name for stage in stages)}


#: what the oracle calls the stages of the package
STAGE_NAMES = {"typed": "schema", "corrupt": "relation"}


def check_positive(
    graph: Graph,
    sampler: PoolNegativeSampler,
    name: str,
    fallback: str | list[str] | None,
    i: int,
    triple: tuple[int, int, int],
    negatives: torch.Tensor,
    changed: torch.Tensor,
    stages: list[Recorder],
) -> None:
    n = len(negatives)
    # slots of each side, masked ones included where they can be told
    filled, empty = [], []
    for number, side in enumerate(SIDES):
        query = 2 * i + number
        known = graph.oracle.named_stages(
            name, fallback, *triple, side, filtered=sampler.filtered, **graph.oracle_options(name)
        )
        allowed = dict(known)
        if name == "adversarial" and not graph.oracle.holds(*triple, side):
            allowed["pool"] = set()
        sets = [allowed.get(STAGE_NAMES.get(stage.name, stage.name.replace("_", "-")), set()) for stage in stages]
        drawn = [stage.given_to(query) for stage in stages]
        need = sum(map(len, drawn))
        check_slots(drawn, sets, need)
        # what was drawn is what is given; the rest came to the rescue
        column = 2 * number
        given = Counter(negatives[changed[:, column], column].tolist())
        assert Counter(chain(*drawn)) <= given
        rescued = given - Counter(chain(*drawn))
        # even where nothing is filtered, what comes to the rescue is no training triple
        assert set(rescued) <= graph.oracle.everything - graph.oracle.known(*triple, side)
        filled.append(need)
        empty.append(not any(sets))
    check_sides(sampler.corruption, n, filled, empty)


def check_sides(corruption: Corruption, n: int, filled: list[int], empty: list[bool]) -> None:
    """Check how many slots each side got; a side with nothing to draw hides how many it wanted."""
    heads, tails = filled
    if corruption in ("head", "tail"):
        number = SIDES.index(corruption)
        assert filled[1 - number] == 0
        assert filled[number] == (0 if empty[number] else n)
    elif not any(empty):
        assert heads + tails == n
        assert corruption == "bernoulli" or abs(heads - tails) == n % 2
    else:
        for count, is_empty in zip(filled, empty, strict=True):
            if is_empty:
                assert count == 0
            elif corruption == "balanced":
                assert count in {n // 2, n - n // 2}


def check_windows(graph: Graph, sampler: PoolNegativeSampler, batch: list, valid: torch.Tensor) -> None:
    size = sampler.sub_batch_size or len(batch)
    sides = SIDES if sampler.corruption in ("balanced", "bernoulli") else (sampler.corruption,)
    for start in range(0, len(batch), size):
        rows = slice(start, start + size)
        inside = [query for stage in sampler.stages for query, _ in stage.drawn if start <= query // 2 < start + size]
        rescued = int(valid[rows].sum()) - len(inside)
        assert rescued == (0 if inside else int(valid[rows].any())), "one slot, and only where there is none"
        if not valid[rows].any():
            # nothing at all could be drawn: sides that were wanted surely have no entity left
            left = [
                graph.oracle.everything - graph.oracle.known(*triple, side) for triple in batch[rows] for side in sides
            ]
            wanted_all = sampler.corruption != "bernoulli" and (sampler.num_negs_per_pos > 1 or len(sides) == 1)
            assert not (any if wanted_all else all)(left)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Graph, list, dict[str, Any]]:
    graph = draw(random_graphs())
    held = st.sampled_from(graph.lines.tolist()).map(tuple)
    others = random_triples(graph.num_entities, graph.num_relations)
    batch = draw(st.lists(held, min_size=1, max_size=5) | st.lists(held | others, min_size=1, max_size=5))
    options = {
        "num_negs_per_pos": draw(st.integers(1, 9)),
        "corruption": draw(st.sampled_from(get_args(Corruption))),
        "filtered": draw(st.booleans()),
        "sub_batch_size": draw(st.none() | st.integers(1, 4)),
        "schema": graph.schema if draw(st.booleans()) else None,
    }
    return graph, batch, options


@every_sampler
@pytest.mark.parametrize("fallback", FALLBACKS)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_every_slot_of_any_graph_follows_the_rules(name: str, fallback: str | None, case: tuple, seed: int):
    graph, batch, options = case
    if name in ("typed", "typedbyclass"):
        options["schema"] = graph.schema
    torch.manual_seed(seed)
    check_batch(graph, make(name, graph, fallback=fallback, **options), name, fallback, batch)


#: pools that a fallback may name; two names of the same one are one too many
POOLS = ("everything", "random", "corrupt", "relational", "typed", "typedbyclass")
lists_of_pools = st.lists(
    st.sampled_from(POOLS), min_size=1, max_size=4, unique_by=lambda name: {"random": "everything"}.get(name, name)
)


@every_sampler
@given(case=cases(), fallback=lists_of_pools, seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_every_slot_follows_the_rules_where_the_fallback_names_pools(
    name: str, case: tuple, fallback: list[str], seed: int
):
    graph, batch, options = case
    torch.manual_seed(seed)
    sampler = make(name, graph, fallback=fallback, **{**options, "schema": graph.schema})
    labels = ["everything" if pool == "random" else pool for pool in fallback]
    assert [stage.name for stage in sampler.stages] == ["pool", *labels]
    check_batch(graph, sampler, name, fallback, batch)


@every_sampler
@pytest.mark.parametrize("fallback", FALLBACKS)
@pytest.mark.parametrize("n", [1, 10, 41])
def test_every_slot_of_a_real_graph_follows_the_rules(name: str, fallback: str | None, n: int, graph: Graph):
    torch.manual_seed(n)
    batch = [tuple(row) for row in graph.lines[:: 1592 // 30].tolist()]
    sampler = make(name, graph, fallback=fallback, num_negs_per_pos=n, schema=graph.schema)
    check_batch(graph, sampler, name, fallback, batch)


def test_a_small_pool_gives_each_entity_once_and_passes_the_rest_on():
    # tails of relation 0: 1, 2, 3; its range holds 3, 4, 5 and 6; 7 … 9 are in neither
    graph = graph_of(
        {(0, 0, 1), (9, 0, 2), (9, 0, 3)},
        num_entities=10,
        num_relations=1,
        entity_classes={entity: {"a"} for entity in range(3, 7)},
        ranges={0: {"a"}},
    )
    options = {"corruption": "tail", "schema": graph.schema, "num_negs_per_pos": 5}
    sampler = make("corrupt", graph, fallback="semantic", **options)
    negatives, mask = sampler.sample(graph.lines[:1])
    assert mask is None
    tails = negatives[0, :, 2].tolist()
    # 2 and 3 once from the pool, three more from the range
    assert Counter(tails[:2]) == {2: 1, 3: 1}
    assert set(tails[2:]) <= {3, 4, 5, 6}
    assert counted(sampler.usage) == {"pool": 2, "typed": 3}
    sampler = make("corrupt", graph, fallback="semantic", **{**options, "num_negs_per_pos": 9})
    negatives, _ = sampler.sample(graph.lines[:1])
    # four of the range are fewer than seven
    assert counted(sampler.usage) == {"pool": 2, "typed": 4, "everything": 3}
    assert Counter(negatives[0, :6, 2].tolist()) == {2: 1, 3: 2, 4: 1, 5: 1, 6: 1}
    sampler = make("corrupt", graph, **options)
    negatives, mask = sampler.sample(graph.lines[:1])
    assert sampler.usage["pool"] == 5, "without a fallback: with replacement from what is there"
    assert mask is None
    assert set(negatives[0, :, 2].tolist()) <= {2, 3}


def test_a_pool_of_just_as_many_entities_as_are_wanted_repeats_them():
    # two entities are left of the pool, and two are wanted
    graph = graph_of({(0, 0, 1), (9, 0, 2), (9, 0, 3)}, num_entities=10, num_relations=1)
    sampler = make("corrupt", graph, fallback="random", corruption="tail", num_negs_per_pos=2)
    torch.manual_seed(0)
    # beside positives that have too few
    drawn = {tuple(sampler.sample(graph.lines)[0][0, :, 2].tolist()) for _ in range(100)}
    assert drawn == {(2, 2), (2, 3), (3, 2), (3, 3)}


def test_a_slot_without_any_entity_is_masked_and_holds_no_training_triple():
    # each pair of relation 0 has its only tail; relation 1 has a choice
    graph = graph_of({(0, 0, 1), (0, 1, 1), (2, 1, 3)}, num_entities=5, num_relations=2)
    sampler = make("corrupt", graph, num_negs_per_pos=4)
    negatives, mask = sampler.sample(torch.tensor([[0, 0, 1], [0, 1, 1]]))
    assert mask.tolist() == [[False] * 4, [True] * 4]
    assert not set(map(tuple, negatives[0].tolist())) & graph.oracle.triples
    assert counted(sampler.usage) == {"pool": 4, "masked": 4}
    positives = graph.lines.repeat(50, 1)
    assert not set(map(tuple, sampler.corrupt_batch(positives).reshape(-1, 3).tolist())) & graph.oracle.triples


def test_a_masked_slot_never_repeats_a_positive_that_is_no_training_triple():
    # relation 1 has no triple, and so no pool
    graph = graph_of({(0, 0, 1)}, num_entities=3, num_relations=2)
    positives = torch.tensor([[0, 1, 2]]).repeat(200, 1)
    negatives, mask = make("corrupt", graph, num_negs_per_pos=4).sample(positives)
    # but for the one that is rescued
    assert mask.sum() == 1
    assert not (negatives == positives.unsqueeze(dim=1)).all(dim=-1).any()


# PyKEEN's filterers


@pytest.mark.parametrize("filterer", ["python-set", "bloom"])
def test_a_filterer_masks_known_positives_after_the_draw(filterer: str, graph: Graph):
    sampler = make("corrupt", graph, filtered=False, filterer=filterer, num_negs_per_pos=20)
    torch.manual_seed(0)
    negatives, mask = sampler.sample(graph.lines[:200])
    training = keys_of(graph.lines, graph.num_entities, graph.num_relations)
    is_known = np.isin(keys_of(negatives, graph.num_entities, graph.num_relations), training)
    assert is_known.any()
    assert not (is_known & mask.numpy()).any()
    assert mask.any()


def test_a_filterer_that_masks_all_still_leaves_a_valid_slot():
    # whatever corrupt draws without filter is a training triple
    graph = graph_of({(h, 0, t) for h in (0, 1) for t in (2, 3)}, num_entities=6, num_relations=1)
    options = {"filtered": False, "filterer": "python-set", "num_negs_per_pos": 4}
    for size, windows in ((None, 1), (1, 4), (2, 2)):
        sampler = make("corrupt", graph, sub_batch_size=size, **options)
        negatives, mask = sampler.sample(graph.lines)
        assert int(mask.sum()) == windows, "the loss would be non-finite"
        assert not {tuple(row) for row in negatives[mask].tolist()} & graph.oracle.triples
        assert sampler.usage["rescued"] == windows
        assert total(sampler.usage) == 16
        assert min(sampler.usage.values()) >= 0


# Seeds, workers, state


@pytest.mark.parametrize("name", ["nearestneighbor", "adversarial"])
def test_an_auxiliary_in_a_file_leaves_the_seed_alone(name: str, graph: Graph, tmp_path: Path):
    path = tmp_path / "auxiliary.safetensors"
    settings = {"model": "TransE", "model_kwargs": {"embedding_dim": 2}, "l2_weight": None}
    save_model(path, graph.model, {**settings, "triples_digest": triples_digest(graph.lines)})
    draws = []
    for seed in (1, 2):
        # a training loop makes its sampler after the seed is set
        torch.manual_seed(seed)
        draws.append(make(name, graph, num_negs_per_pos=5, auxiliary=path).sample(graph.lines[:100])[0])
    assert not torch.equal(*draws)


def test_pykeens_instances_draw_in_two_workers(graph: Graph):
    instances = BatchedSLCWAInstances.from_triples_factory(
        graph.factory, batch_size=100, drop_last=False, negative_sampler="corrupt"
    )
    torch.manual_seed(0)
    batches = list(DataLoader(instances, batch_size=None, num_workers=2))
    assert sum(len(batch["positives"]) for batch in batches) == len(graph.lines)
    assert all(batch["negatives"].shape == (len(batch["positives"]), 1, 3) for batch in batches)


@every_sampler
def test_the_auxiliary_model_is_no_part_of_the_sampler(name: str, graph: Graph):
    assert not list(make(name, graph).parameters())
    assert not make(name, graph).state_dict()


# What is refused


@every_sampler
def test_a_filterer_beside_the_exact_filter_is_refused(name: str, graph: Graph):
    with pytest.raises(ValueError, match="filtered=True already excludes every known positive: leave out filterer"):
        make(name, graph, filterer="bloom")
    with pytest.raises(ValueError, match="leave out filterer"):
        make(name, graph, filterer="python-set", filtered=True)


@every_sampler
def test_unknown_options_are_refused(name: str, graph: Graph):
    with pytest.raises(ValueError, match="fallback is 'all'; it must be None, 'random', 'semantic' or a list"):
        make(name, graph, fallback="all")
    with pytest.raises(ValueError, match="corruption is 'both'; it must be one of balanced, bernoulli, head, tail"):
        make(name, graph, corruption="both")
    with pytest.raises(TypeError, match="colour"):
        make(name, graph, colour="red")


@every_sampler
def test_the_schema_of_another_graph_is_refused(name: str, graph: Graph):
    other = graph_named("umls").schema
    with pytest.raises(ValueError, match="the schema belongs to other triples: it has 135 entities, 46 relations"):
        make(name, graph, schema=other)


@pytest.mark.parametrize("name", ["typed", "typedbyclass"])
def test_typed_samplers_want_a_schema(name: str, graph: Graph):
    with pytest.raises(ValueError, match=rf"{name} needs a schema with .*: give schema=\.\.\. or pools=\.\.\."):
        SAMPLERS[name](mapped_triples=graph.lines)


@pytest.mark.parametrize("name", ["nearestneighbor", "adversarial"])
def test_samplers_with_an_auxiliary_want_it(name: str, graph: Graph):
    with pytest.raises(ValueError, match=rf"{name} needs an auxiliary model: give auxiliary=\.\.\. or pools=\.\.\."):
        SAMPLERS[name](mapped_triples=graph.lines)
    with pytest.raises(ValueError, match="auxiliary model has 135 entities and 46 relations, the triples 14 and 55"):
        make(name, graph, auxiliary=graph_named("umls").model)
    with pytest.raises(ValueError, match="metric is 'manhattan'"):
        make(name, graph, metric="manhattan")


def test_unknown_classes_are_refused(graph: Graph):
    with pytest.raises(ValueError, match="classes is 'some'; it must be 'specific' or 'all'"):
        make("typedbyclass", graph, classes="some")


def test_a_fallback_names_pools_that_there_are_and_each_once(graph: Graph):
    known = "everything, corrupt, relational, typed, ancestors, typedbyclass"
    with pytest.raises(ValueError, match=f"no pool is called 'nearby'; a fallback may name {known}"):
        make("corrupt", graph, fallback=["relational", "nearby"])
    with pytest.raises(ValueError, match=r"fallback is \['corrupt', 'corrupt'\]; each pool can be named once"):
        make("corrupt", graph, fallback=["corrupt", "corrupt"])
    # two names of one pool
    with pytest.raises(ValueError, match="each pool can be named once"):
        make("corrupt", graph, fallback=["everything", "random"])
    assert [stage.name for stage in make("corrupt", graph, fallback=["random"]).stages] == ["pool", "everything"]


@pytest.mark.parametrize("pool", ["typed", "ancestors", "typedbyclass"])
def test_a_fallback_to_classes_wants_a_schema(pool: str, graph: Graph):
    with pytest.raises(ValueError, match=rf"the fallback '{pool}' needs a schema: give schema=\.\.\."):
        make("corrupt", graph, fallback=["relational", pool])
    assert make("corrupt", graph, fallback=["relational", pool], schema=graph.schema).stages[1].name == "relational"
