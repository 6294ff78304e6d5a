"""Near misses of the model in training: what a refresh finds, what it leaves alone, and what then comes out."""

import math
from typing import Any

import pytest
import torch
from graphs import Graph, graph_named, graph_of, whole_numbered_model
from names import MODELS
from pykeen.models import ERModel, TransE, model_resolver
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.training import SLCWATrainingLoop, TrainingCallback
from pykeen.triples import CoreTriplesFactory

from negsamp import AdaptiveAdversarialNegativeSampler, AdversarialNegativeSampler
from negsamp.errors import InputError
from negsamp.models import with_l2
from negsamp.pools import Stage

METRICS = ["euclidean", "dot", "cosine"]

#: the models that say where they expect an entity; the others only score, and have no use for a metric
PREDICTING = ["TransE", "DistMult", "RESCAL", "RotatE", "ComplEx"]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


def sampler_of(graph: Graph, cls: Any = AdaptiveAdversarialNegativeSampler, **options: Any) -> Any:
    return cls(
        mapped_triples=graph.lines,
        num_entities=graph.num_entities,
        num_relations=graph.num_relations,
        **{"num_neighbors": 3, **options},
    )


def model_of(graph: Graph, name: str = "TransE", seed: int = 0, **kwargs: Any) -> ERModel:
    options = with_l2(name, {"embedding_dim": 4, **kwargs}, None)
    return model_resolver.make(name, triples_factory=graph.factory, random_seed=seed, **options)


def same(stage: Stage, other: Stage) -> bool:
    """Compare pools and exclusions, member by member."""
    pools, exclusions = stage.pools, stage.exclusions
    return (
        torch.equal(pools.members, other.pools.members)
        and torch.equal(pools.keys, other.pools.keys)
        and torch.equal(pools.index, other.pools.index)
        # there may be further pools that no pair has
        and torch.equal(pools.offsets[: len(pools.keys) + 1], other.pools.offsets[: len(pools.keys) + 1])
        and torch.equal(exclusions.lists.places, other.exclusions.lists.places)
        and torch.equal(exclusions.lists.entries, other.exclusions.lists.entries)
    )


# What a refresh finds


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("grow", [True, False])
@pytest.mark.parametrize(
    ("name", "metric"),
    [(name, metric) for name in MODELS for metric in (METRICS if name in PREDICTING else METRICS[:1])],
)
def test_a_refresh_finds_what_the_model_as_an_auxiliary_would(
    name: str, metric: str, grow: bool, filtered: bool, graph: Graph
):
    options = {"metric": metric, "grow": grow, "filtered": filtered}
    model = model_of(graph, name)
    adaptive, adversarial = (
        sampler_of(graph, **options),
        sampler_of(graph, AdversarialNegativeSampler, auxiliary=model, **options),
    )
    assert not len(adaptive.pools.keys)
    assert adaptive.refresh(model) == len(adversarial.pools.keys)
    assert same(adaptive.stages[0], adversarial.stages[0])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["TransE", "DistMult", "RotatE", "RESCAL"])
def test_ties_are_broken_alike(kind: str, metric: str, graph: Graph):
    model = whole_numbered_model(kind, graph)
    adaptive = sampler_of(graph, metric=metric)
    adaptive.refresh(model)
    assert same(
        adaptive.stages[0], sampler_of(graph, AdversarialNegativeSampler, auxiliary=model, metric=metric).stages[0]
    )


@pytest.mark.parametrize("max_pairs", [None, 100])
def test_a_refresh_replaces_what_the_last_one_found(max_pairs: int | None, graph: Graph):
    adaptive = sampler_of(graph)
    first, second = model_of(graph, seed=0), model_of(graph, seed=1)
    adaptive.refresh(first)
    old = adaptive.stages[0]
    # in turns of a budget, when all had one
    for _ in range(1 if max_pairs is None else math.ceil(len(old.pools.keys) / max_pairs)):
        adaptive.refresh(second, max_pairs)
    assert not same(adaptive.stages[0], old)
    assert same(adaptive.stages[0], sampler_of(graph, AdversarialNegativeSampler, auxiliary=second).stages[0])


def members_of(adaptive: AdaptiveAdversarialNegativeSampler) -> torch.Tensor:
    """Return which entity is in the pool of which pair; shape: (num_pairs, num_entities)."""
    pools, keys = adaptive.pools, adaptive.triples.known_positives.keys
    if pools.members is None:
        return torch.ones(len(keys), adaptive.num_entities, dtype=torch.bool)
    assert torch.equal(pools.keys, keys)
    spans = torch.zeros(len(pools.offsets) - 1, adaptive.num_entities, dtype=torch.bool)
    spans[torch.arange(len(spans)).repeat_interleave(pools.offsets.diff()), pools.members] = True
    return spans[pools.index]


def test_a_budget_leaves_the_other_pairs_their_pools(graph: Graph):
    adaptive = sampler_of(graph)
    count = len(adaptive.triples.known_positives.keys)
    first, second = model_of(graph, seed=0), model_of(graph, seed=1)
    wanted = []
    for model in (second, first):
        adaptive.refresh(model)
        wanted.append(members_of(adaptive))
    assert adaptive.refresh(second, 100) == 100
    is_second, is_first = ((members_of(adaptive) == pools).all(dim=-1) for pools in wanted)
    assert bool((is_first | is_second).all())
    assert 0 < int((is_second & ~is_first).sum()) <= 100 < count


@pytest.mark.parametrize("name", MODELS)
def test_a_budget_of_one_pair_suits_every_model(name: str, graph: Graph):
    """Then there are no pairs of one of the sides."""
    adaptive = sampler_of(graph)
    assert adaptive.refresh(model_of(graph, name), 1) == 1
    assert sorted(members_of(adaptive).sum(dim=-1).tolist())[:2] == [3, graph.num_entities]


def test_a_budget_of_one_at_a_time_searches_each_pair_once():
    graph = graph_of({(i, 0, i + 1) for i in range(5)}, num_entities=6, num_relations=1)
    adaptive, model = sampler_of(graph, num_neighbors=1), model_of(graph)
    count = len(adaptive.triples.known_positives.keys)
    for i in range(1, count + 1):
        assert adaptive.refresh(model, 1) == 1
        assert sorted(members_of(adaptive).sum(dim=-1).tolist()) == [1] * i + [6] * (count - i)
    assert same(
        adaptive.stages[0],
        sampler_of(graph, AdversarialNegativeSampler, auxiliary=model, num_neighbors=1).stages[0],
    )


# What a refresh leaves alone


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("is_training", [True, False])
def test_the_mode_of_the_model_is_kept(is_training: bool, name: str, graph: Graph):
    model = model_of(graph, name).train(is_training)
    sampler_of(graph).refresh(model)
    assert {module.training for module in model.modules()} == {is_training}


@pytest.mark.parametrize("name", MODELS)
def test_the_weights_and_their_gradients_are_kept(name: str, graph: Graph):
    model = model_of(graph, name).train()
    model.score_hrt(graph.lines[:10]).sum().backward()
    model.post_parameter_update()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    sampler_of(graph).refresh(model)
    after = model.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)
        assert parameter.requires_grad
    # and a step can follow
    model.score_hrt(graph.lines[:10]).sum().backward()


def test_no_regularization_term_is_left_behind(graph: Graph):
    """Such a term would go into the next batch, and fail there: it has no gradient."""
    model = TransE(
        triples_factory=graph.factory,
        embedding_dim=4,
        regularizer="lp",
        regularizer_kwargs={"weight": 1.0, "p": 2.0},
        random_seed=0,
    ).train()
    sampler_of(graph).refresh(model)
    assert float(model.collect_regularization_term()) == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_refresh_of_all_pairs_takes_no_random_number(name: str, graph: Graph):
    adaptive, model = sampler_of(graph), model_of(graph, name)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    adaptive.refresh(model)
    adaptive.refresh(model, 10**6)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_turns_of_a_budget_follow_the_seed(graph: Graph):
    model, found = model_of(graph), []
    for seed in (0, 0, 1):
        adaptive = sampler_of(graph)
        torch.manual_seed(seed)
        adaptive.refresh(model, 100)
        found.append(members_of(adaptive))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])


# What is refused


def test_a_model_of_other_triples_is_refused(graph: Graph):
    adaptive = sampler_of(graph)
    for entities, relations in ((graph.num_entities + 1, graph.num_relations), (graph.num_entities, 3)):
        other = TransE(triples_factory=CoreTriplesFactory(graph.lines[:0], entities, relations), embedding_dim=4)
        with pytest.raises(InputError, match=rf"model has {entities} entities and {relations} relations, the triples"):
            adaptive.refresh(other)
    # and nothing is lost
    assert adaptive.pools.members is None


def test_options_without_such_a_value_are_refused(graph: Graph):
    with pytest.raises(ValueError, match="num_neighbors is 0"):
        sampler_of(graph, num_neighbors=0)
    with pytest.raises(ValueError, match="metric is 'manhattan'"):
        sampler_of(graph, metric="manhattan")


# In a training


class Watch(TrainingCallback):
    """Keeps the positives and negatives of each epoch's valid slots, and the pools at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.positives: list[list[torch.Tensor]] = [[]]
        self.negatives: list[list[torch.Tensor]] = [[]]
        self.members: list[torch.Tensor] = []

    def all_negatives(self) -> list[tuple[int, int, int]]:
        return [tuple(triple) for epoch in self.negatives for part in epoch for triple in part.tolist()]

    @property
    def sampler(self) -> AdaptiveAdversarialNegativeSampler:
        return self.training_loop.negative_sampler_kwargs["handle"].sampler

    def post_batch(self, epoch: int, batch: Any, **kwargs: Any) -> None:
        negatives = batch["negatives"]
        valid = batch.get("masks", torch.ones(negatives.shape[:-1], dtype=torch.bool))
        self.positives[-1].append(batch["positives"][:, None].expand_as(negatives)[valid])
        self.negatives[-1].append(negatives[valid])

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
        self.positives.append([])
        self.negatives.append([])
        self.members.append(members_of(self.sampler))


def run(options: dict[str, Any], training: dict[str, Any], **kwargs: Any) -> PipelineResult:
    return pipeline(
        **{"dataset": "nations", "model": "TransE", **kwargs},
        model_kwargs={"embedding_dim": 4},
        negative_sampler="adaptiveadversarial",
        negative_sampler_kwargs={"num_neighbors": 4, "num_negs_per_pos": 4, **options},
        training_loop_kwargs={"automatic_memory_optimization": False},
        training_kwargs={"num_epochs": 3, "batch_size": 500, "use_tqdm": False, **training},
        evaluation_kwargs={"batch_size": 256, "use_tqdm": False},
        random_seed=0,
    )


@pytest.mark.parametrize(("max_pairs", "num_workers"), [(None, 0), (None, 1), (300, 0)])
def test_each_epoch_draws_from_the_pools_of_the_last_refresh(max_pairs: int | None, num_workers: int):
    watch = Watch()
    training = {
        "callbacks": ["refresh", watch],
        "callbacks_kwargs": [{"refresh_every": 1, "max_pairs": max_pairs}, None],
        "num_workers": num_workers,
    }
    run({}, training)
    triples = watch.sampler.triples
    for members, *epoch in zip(watch.members[:2], watch.positives[1:3], watch.negatives[1:3], strict=True):
        positives, negatives = map(torch.cat, epoch)
        assert len(negatives) > 1000
        side = (negatives[:, 0] == positives[:, 0]).long()
        anchors, entities = torch.where(side == 1, negatives.T[[0, 2]], negatives.T[[2, 0]])
        pairs = torch.searchsorted(triples.known_positives.keys, triples.pair_keys(anchors, negatives[:, 1], side))
        assert bool(members[pairs, entities].all())
        # of which the pools of another time would not hold all
        assert not bool(watch.members[-1][pairs, entities].all())


@pytest.mark.parametrize(("max_pairs", "fallback"), [(None, None), (300, "random")])
@pytest.mark.parametrize("name", ["TransE", "RotatE", "TransH"])
def test_no_training_triple_comes_out_after_refreshes(
    name: str, max_pairs: int | None, fallback: str | None, graph: Graph
):
    watch = Watch()
    training = {
        "callbacks": ["refresh", watch],
        "callbacks_kwargs": [{"refresh_every": 1, "max_pairs": max_pairs}, None],
    }
    # so wide that pools hold many training triples
    result = run({"fallback": fallback, "num_neighbors": 8}, training, model=name)
    assert all(map(math.isfinite, result.losses))
    known = set(map(tuple, graph.lines.tolist()))
    negatives = watch.all_negatives()
    assert len(negatives) > 10_000
    assert not known.intersection(negatives)
    # the search does find training triples, which are excluded from the draw
    triples = watch.sampler.triples
    heads, relations, tails = triples.triples.T
    keys = triples.pair_keys(heads, relations, torch.ones_like(heads))
    assert bool(watch.members[-1][torch.searchsorted(triples.known_positives.keys, keys), tails].any())


def test_without_the_exact_filter_training_triples_do_come_out(graph: Graph):
    watch = Watch()
    run({"filtered": False}, {"callbacks": ["refresh", watch], "callbacks_kwargs": [{"refresh_every": 1}, None]})
    known = set(map(tuple, graph.lines.tolist()))
    assert known.intersection(watch.all_negatives())


@pytest.mark.parametrize("options", [{"refresh_every": 1}, {"refresh_every": 2, "max_pairs": 150}])
def test_the_same_seed_gives_the_same_losses(options: dict[str, Any]):
    training = {"num_epochs": 4, "callbacks": "refresh", "callbacks_kwargs": options}
    first, again = (run({}, training).losses for _ in range(2))
    assert first == again
    assert run({}, {"num_epochs": 4}).losses != first


def test_the_order_of_turns_goes_on_after_a_refresh_of_all(graph: Graph):
    adaptive, model = sampler_of(graph), model_of(graph)
    count = len(adaptive.triples.known_positives.keys)
    assert [adaptive.refresh(model, budget) for budget in (100, None, 100)] == [100, count, 100]


# Inverse triples


@pytest.fixture(scope="module")
def doubled(graph: Graph) -> CoreTriplesFactory:
    return CoreTriplesFactory(graph.lines, graph.num_entities, graph.num_relations, create_inverse_triples=True)


def doubled_sampler(doubled: CoreTriplesFactory, cls: Any = AdaptiveAdversarialNegativeSampler, **options: Any) -> Any:
    return cls(
        mapped_triples=doubled._add_inverse_triples_if_necessary(doubled.mapped_triples),
        num_entities=doubled.num_entities,
        num_relations=doubled.num_relations,
        **{"num_neighbors": 3, **options},
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_a_doubled_graph_is_asked_as_the_auxiliary_would(name: str, doubled: CoreTriplesFactory):
    options = with_l2(name, {"embedding_dim": 4}, None)
    model = model_resolver.make(name, triples_factory=doubled, random_seed=0, **options)
    adaptive = doubled_sampler(doubled)
    adaptive.refresh(model)
    assert same(adaptive.stages[0], doubled_sampler(doubled, AdversarialNegativeSampler, auxiliary=model).stages[0])


def test_a_model_of_a_doubled_graph_is_asked_for_heads_by_the_inverse_relation(doubled: CoreTriplesFactory):
    """By the definition: nearest to t + r⁻¹, where the model has learnt that relation for itself."""
    model = TransE(triples_factory=doubled, embedding_dim=4, random_seed=0)
    adaptive = doubled_sampler(doubled)
    adaptive.refresh(model)
    entities = model.entity_representations[0](indices=None).detach().double()
    relations = model.relation_representations[0](indices=None).detach().double()
    pairs = adaptive.triples.unpair(adaptive.triples.known_positives.keys)
    anchors, originals, sides = pairs
    predicted = entities[anchors] + relations[2 * originals + (sides == 0).long()]
    wanted = torch.cdist(predicted, entities).argsort(dim=-1)[:, :3]
    assert torch.equal(members_of(adaptive), torch.zeros_like(members_of(adaptive)).scatter(1, wanted, True))


@pytest.mark.parametrize("max_pairs", [None, 300])
def test_a_graph_with_inverse_triples_is_refreshed(max_pairs: int | None, doubled: CoreTriplesFactory):
    watch = Watch()
    training = {
        "callbacks": ["refresh", watch],
        "callbacks_kwargs": [{"refresh_every": 1, "max_pairs": max_pairs}, None],
    }
    result = run({"fallback": "random"}, training, dataset_kwargs={"create_inverse_triples": True})
    assert all(map(math.isfinite, result.losses))
    known = set(map(tuple, doubled._add_inverse_triples_if_necessary(doubled.mapped_triples).tolist()))
    negatives = watch.all_negatives()
    assert len(negatives) == 3 * 4 * len(known)
    assert not known.intersection(negatives)


def test_relations_that_are_their_own_inverses_are_no_inverse_triples(graph: Graph):
    """What PyKEEN has not doubled is refreshed, though the graph be symmetric."""
    lines = {(h, 0, t) for h in range(6) for t in range(6) if h != t}
    symmetric = graph_of(sorted(lines)[:-1], num_entities=8, num_relations=1)
    model = model_of(symmetric)
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=symmetric.factory,
        negative_sampler="adaptiveadversarial",
        automatic_memory_optimization=False,
    )
    loop.train(
        symmetric.factory,
        num_epochs=2,
        batch_size=10,
        use_tqdm=False,
        callbacks="refresh",
        callbacks_kwargs={"refresh_every": 1},
    )
