"""Every loss of PyKEEN with every kind of mask that a sampler gives, and what PyKEEN's own samplers make of them."""

import math
from typing import Any

import pytest
import torch
from graphs import Graph, graph_of
from pykeen.losses import UnsupportedLabelSmoothingError, loss_resolver
from pykeen.models import TransE
from pykeen.training import NonFiniteLossError, SLCWATrainingLoop, TrainingCallback

from negsamp import GivenNegatives

LOSSES = sorted(loss_resolver.lookup_dict)

#: upstream: the mean over the pairs of a positive and a negative is not a number where there is no negative
FAIL_WITHOUT_NEGATIVES = {"doublemargin", "marginranking", "pairwiselogistic", "softmarginranking"}

#: upstream: a masked slot has the score −∞, of which label smoothing takes its share
FAIL_TO_SMOOTH_MASKS = {"crossentropy", "infonce"}

#: upstream: these refuse any label smoothing
REFUSE_SMOOTHING = {
    "adversarialbcewithlogits",
    "doublemargin",
    "marginranking",
    "nssa",
    "pairwiselogistic",
    "softmarginranking",
}

#: upstream: these take weights of triples, the others refuse them
TAKE_WEIGHTS = {
    "bceaftersigmoid",
    "bcewithlogits",
    "focal",
    "mse",
    "pointwisehinge",
    "softplus",
    "softpointwisehinge",
}

every_loss = pytest.mark.parametrize("loss", LOSSES)

NUM_TRIPLES, NUM_NEGATIVES = 12, 4


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Pairs that share no entity and no relation, and entities that are in no triple."""
    triples = {(2 * i, i, 2 * i + 1) for i in range(NUM_TRIPLES)}
    return graph_of(triples, num_entities=30, num_relations=NUM_TRIPLES)


@pytest.fixture(scope="module")
def complete() -> Graph:
    """Every triple that there can be: no negative exists, and every filter takes all."""
    return graph_of({(h, 0, t) for h in range(4) for t in range(4)}, num_entities=4, num_relations=1)


@pytest.fixture(scope="module")
def dense() -> Graph:
    """Half of the negatives that PyKEEN's basic sampler proposes are known."""
    return graph_of({(h, 0, t) for h in range(4) for t in range(4, 8)}, num_entities=8, num_relations=1)


class Masks(TrainingCallback):
    """Keeps the mask of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.valid: list[torch.Tensor | None] = []

    def on_batch(self, epoch: int, batch: Any, batch_loss: float, **kwargs: Any) -> None:
        self.valid.append(batch.get("masks"))


def train(
    graph: Graph, loss: str, sampler: str, options: dict[str, Any], reduction: str = "mean", **kwargs: Any
) -> tuple[list[float], Masks]:
    """Train for two epochs of one batch each."""
    model = TransE(
        triples_factory=graph.factory,
        embedding_dim=4,
        loss=loss_resolver.make(loss, reduction=reduction),
        random_seed=0,
    )
    weighted = {key: kwargs.pop(key) for key in list(kwargs) if key.startswith("loss_weighter")}
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=graph.factory,
        optimizer="sgd",
        negative_sampler=sampler,
        negative_sampler_kwargs={"num_negs_per_pos": NUM_NEGATIVES, **options},
        automatic_memory_optimization=False,
        **weighted,
    )
    masks = Masks()
    options = {"num_epochs": 2, "batch_size": 100, "use_tqdm": False, "callbacks": masks, **kwargs}
    return loop.train(graph.factory, **options), masks


def fails(expected: type[Exception], *args: Any, **kwargs: Any) -> bool:
    """Tell whether a training fails with just this error."""
    try:
        losses, _ = train(*args, **kwargs)
    except expected as error:
        assert type(error) is expected  # noqa: PT017
        return True
    assert all(map(math.isfinite, losses))
    return False


# Our masks


def negatives_of(graph: Graph, sides: str) -> GivenNegatives:
    """Give each triple two candidates on the sides that it is to have any on."""
    rows = []
    for i, (head, relation, tail) in enumerate(graph.lines.tolist()):
        if sides in ("both", "tail") or (sides == "every other" and i % 2):
            rows += [(f"e{head}", f"r{relation}", f"e{candidate}", "tail") for candidate in (26, 27)]
        if sides == "both" or (sides == "every other" and i % 2):
            rows += [(f"e{tail}", f"r{relation}", f"e{candidate}", "head") for candidate in (28, 29)]
    # a pair that no triple has
    rows.append(("e29", "r0", "e28", "tail"))
    return GivenNegatives.from_names(
        rows,
        entity_to_id={f"e{i}": i for i in range(graph.num_entities)},
        relation_to_id={f"r{i}": i for i in range(graph.num_relations)},
        mapped_triples=graph.lines,
    )


def tails_of(graph: Graph) -> dict[str, Any]:
    """Return the options that leave half of the slots masked."""
    return {"negatives": negatives_of(graph, "tail")}


#: the sides that have candidates, and how many valid slots each positive has then, in ascending order
CASES = {
    "no slot is masked": ("both", None),
    "some slots are masked": ("tail", [2] * NUM_TRIPLES),
    "whole rows are masked": ("every other", [0] * (NUM_TRIPLES // 2) + [NUM_NEGATIVES] * (NUM_TRIPLES // 2)),
    "all but the rescued slot is masked": ("none", [0] * (NUM_TRIPLES - 1) + [1]),
}


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", CASES)
def test_every_loss_takes_every_mask(case: str, reduction: str, loss: str, graph: Graph):
    sides, wanted = CASES[case]
    losses, masks = train(graph, loss, "given", {"negatives": negatives_of(graph, sides)}, reduction)
    assert all(map(math.isfinite, losses))
    found = [valid if valid is None else valid.sum(dim=-1).sort().values.tolist() for valid in masks.valid]
    assert found == [wanted] * 2


def test_masked_slots_do_not_change_a_loss_by_pairs(graph: Graph):
    """The mean over pairs of which half are masked is the mean over the others."""
    model = TransE(triples_factory=graph.factory, embedding_dim=4, loss="marginranking", random_seed=0)
    sampler = graph.sampler("given", **tails_of(graph), num_negs_per_pos=NUM_NEGATIVES)
    negatives, valid = sampler.sample(graph.lines)
    batch = {"positives": graph.lines, "negatives": negatives, "masks": valid}
    with torch.no_grad():
        found = SLCWATrainingLoop._process_batch_static(model, model.loss, None, batch, None, None)
        pairs = [
            model.loss.margin + model.score_hrt(negative[None]) - model.score_hrt(positive[None])
            for positive, row, row_valid in zip(graph.lines, negatives, valid, strict=True)
            for negative in row[row_valid]
        ]
    assert len(pairs) == 2 * NUM_TRIPLES
    assert found.item() == pytest.approx(torch.cat(pairs).clamp(min=0).mean().item(), rel=1e-5)


# The limits of PyKEEN's losses, by its own basic sampler

EXACT = {"filtered": True, "filterer": "python-set"}


def test_the_limits_name_losses_of_pykeen():
    assert set(LOSSES) >= FAIL_WITHOUT_NEGATIVES | FAIL_TO_SMOOTH_MASKS | REFUSE_SMOOTHING | TAKE_WEIGHTS


@every_loss
def test_pykeens_own_sampler_trains_with_every_loss_and_some_masked_slots(loss: str, dense: Graph):
    losses, masks = train(dense, loss, "basic", EXACT)
    assert all(map(math.isfinite, losses))
    assert all(0 < valid.sum() < valid.numel() for valid in masks.valid)


@every_loss
@pytest.mark.parametrize("sampler", ["basic", "random"])
def test_losses_by_pairs_fail_where_no_negative_exists(sampler: str, loss: str, complete: Graph):
    """No rescue either: where every triple is known, there is no negative to give."""
    options = EXACT if sampler == "basic" else {}
    assert fails(NonFiniteLossError, complete, loss, sampler, options) == (loss in FAIL_WITHOUT_NEGATIVES)
    assert not fails(NonFiniteLossError, complete, loss, sampler, options, "sum")


@every_loss
def test_losses_by_pairs_are_rescued_where_a_negative_exists(loss: str, complete: Graph):
    """Pool and mask as in the complete graph, but for one entity that is in no triple."""
    larger = graph_of(map(tuple, complete.lines.tolist()), num_entities=5, num_relations=1)
    losses, masks = train(larger, loss, "corrupt", {})
    assert all(map(math.isfinite, losses))
    assert [int(valid.sum()) for valid in masks.valid] == [1, 1]


@every_loss
@pytest.mark.parametrize("sampler", ["basic", "given"])
def test_label_smoothing_and_masks_do_not_always_go_together(sampler: str, loss: str, graph: Graph, dense: Graph):
    case = (dense, loss, "basic", EXACT) if sampler == "basic" else (graph, loss, "given", tails_of(graph))
    if loss in REFUSE_SMOOTHING:
        assert fails(UnsupportedLabelSmoothingError, *case, label_smoothing=0.1)
    else:
        assert fails(NonFiniteLossError, *case, label_smoothing=0.1) == (loss in FAIL_TO_SMOOTH_MASKS)


@pytest.mark.parametrize("loss", sorted(set(LOSSES) - REFUSE_SMOOTHING))
def test_label_smoothing_goes_with_a_fallback_that_leaves_no_slot_masked(loss: str, graph: Graph):
    losses, masks = train(graph, loss, "given", {**tails_of(graph), "fallback": "random"}, label_smoothing=0.1)
    assert all(map(math.isfinite, losses))
    assert masks.valid == [None, None]


@pytest.mark.parametrize("loss", sorted(TAKE_WEIGHTS))
def test_weights_of_triples_go_only_without_a_mask(loss: str, graph: Graph, dense: Graph):
    """Upstream: the weights of masked negatives are not masked with them."""
    weights = {"loss_weighter": "relation", "loss_weighter_kwargs": {"weights": torch.arange(1.0, NUM_TRIPLES + 1)}}
    for case in ((dense, loss, "basic", EXACT), (graph, loss, "given", tails_of(graph))):
        with pytest.raises(RuntimeError, match="expanded size of the tensor"):
            train(*case, **weights)
    losses, masks = train(graph, loss, "given", {**tails_of(graph), "fallback": "random"}, **weights)
    assert all(map(math.isfinite, losses))
    assert masks.valid == [None, None]
