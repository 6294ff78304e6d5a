"""Auxiliary models: trained once on the training triples, then asked for vectors and scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from pykeen.evaluation import MetricResults
from pykeen.models import ERModel, model_resolver
from pykeen.nn import (
    ComplExInteraction,
    DistMultInteraction,
    Interaction,
    RESCALInteraction,
    RotatEInteraction,
    TransEInteraction,
)
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import FloatTensor, LongTensor

from negsamp.als import factorize
from negsamp.errors import InputError
from negsamp.evaluation import FastRankBasedEvaluator
from negsamp.models import load_model, with_l2
from negsamp.pipeline import metrics_of, run_pipeline, sample_triples
from negsamp.progress import progress
from negsamp.scoring import real_vectors
from negsamp.triples import HEAD, TAIL, TripleSet, triples_digest
from negsamp.twins import twin_of

__all__ = [
    "asked",
    "entity_vectors",
    "predicted_vectors",
    "resolve_auxiliary",
    "score_pairs",
    "train_auxiliary",
    "train_quickly",
]


def train_auxiliary(
    training: CoreTriplesFactory,
    validation: CoreTriplesFactory,
    *,
    model: str = "RESCAL",
    model_kwargs: Mapping[str, Any] | None = None,
    training_loop: str = "lcwa",
    loss: str = "crossentropy",
    epochs: int = 20,
    batch_size: int = 1000,
    learning_rate: float = 1e-3,
    l2_weight: float = 0.0,
    max_evaluation_triples: int | None = None,
    device: str | None = None,
    random_seed: int = 0,
) -> tuple[ERModel, dict[str, Any]]:
    """Train an auxiliary model on the training triples, and measure it on the validation triples.

    The default scores one pair against all entities (LCWA). Much sooner is ``"als"``, which solves for RESCAL's
    parameters (:func:`negsamp.als.factorize`).

    :param training: the training triples
    :param validation: the validation triples; test triples are not asked for
    :param model: the name of a PyKEEN model
    :param model_kwargs: its options, plain values
    :param training_loop: PyKEEN's name of the training loop, or ``"als"`` for RESCAL by alternating least squares
    :param loss: PyKEEN's name of the loss; there is none to choose for ``"als"``
    :param epochs: the number of epochs, or of iterations
    :param batch_size: pairs (LCWA) or triples (sLCWA) a batch
    :param learning_rate: Adam's learning rate
    :param l2_weight: the weight of L2 regularization (RESCAL's own default in PyKEEN is 10); 0: none
    :param max_evaluation_triples: how many validation triples are ranked, a fixed random choice; None: all
    :param device: None: the first GPU, if there is one
    :param random_seed: fixes the result

    :returns: the trained model; and its settings, validation metrics, and the digest of the triples it was trained on

    :raises InputError: if another model than RESCAL is to be solved for
    """
    model_kwargs = dict(model_kwargs or {})
    ranked = sample_triples(validation, max_evaluation_triples)
    if training_loop == "als":
        return _solved(training, validation, ranked, model, model_kwargs, epochs, l2_weight, random_seed)
    result = run_pipeline(
        training=training,
        validation=ranked,
        # PyKEEN wants test triples: what is ranked stands in
        testing=ranked,
        model=model,
        model_kwargs=with_l2(model, model_kwargs, l2_weight),
        loss=loss,
        training_loop=training_loop,
        training_loop_kwargs={"automatic_memory_optimization": False},
        learning_rate=learning_rate,
        training_kwargs={"num_epochs": epochs, "batch_size": batch_size, "pin_memory": False},
        evaluation_kwargs={"additional_filter_triples": [validation.mapped_triples]},
        use_testing_data=False,
        device=device,
        random_seed=random_seed,
    )
    settings = {
        "training_loop": training_loop,
        "loss": loss,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "random_seed": random_seed,
    }
    record = _record(training, model, model_kwargs, l2_weight, settings, result.metric_results)
    return cast(ERModel, result.model), record


def train_quickly(training: CoreTriplesFactory, epochs: int = 5) -> tuple[ERModel, dict[str, Any]]:
    """Train a small model where any will do: its quality decides what near misses are, not what it costs to draw them.

    :param training: the training triples, of which few are ranked
    :param epochs: the number of epochs

    :returns: as :func:`train_auxiliary`
    """
    return train_auxiliary(
        training,
        training,
        model="DistMult",
        model_kwargs={"embedding_dim": 50},
        training_loop="slcwa",
        loss="softplus",
        epochs=epochs,
        learning_rate=1e-2,
        max_evaluation_triples=10,
        device="cpu",
    )


def _solved(
    training: CoreTriplesFactory,
    validation: CoreTriplesFactory,
    ranked: CoreTriplesFactory,
    model: str,
    model_kwargs: dict[str, Any],
    iterations: int,
    l2_weight: float,
    random_seed: int,
) -> tuple[ERModel, dict[str, Any]]:
    """Solve for RESCAL's parameters instead of training it."""
    if model.lower() != "rescal":
        raise InputError(f"training_loop 'als' solves for RESCAL, not for {model}: use 'lcwa' or 'slcwa'")
    kwargs = with_l2(model, model_kwargs, l2_weight)
    found = cast(
        ERModel, model_resolver.make(twin_of(model), kwargs, triples_factory=training, random_seed=random_seed)
    )
    shape = found.entity_representations[0].shape
    parameters = factorize(training, shape[0], iterations, l2_weight, random_seed)
    representations = (found.entity_representations[0], found.relation_representations[0])
    with torch.no_grad():
        for representation, values in zip(representations, parameters, strict=True):
            (weight,) = representation.parameters()
            weight.copy_(values.reshape(weight.shape))
    found.eval()
    known = [training.mapped_triples, validation.mapped_triples]
    results = FastRankBasedEvaluator().evaluate(found, ranked.mapped_triples, additional_filter_triples=known)
    settings = {"training_loop": "als", "epochs": iterations, "random_seed": random_seed}
    return found, _record(training, model, model_kwargs, l2_weight, settings, results)


def _record(
    training: CoreTriplesFactory,
    model: str,
    model_kwargs: dict[str, Any],
    l2_weight: float,
    settings: dict[str, Any],
    results: MetricResults,
) -> dict[str, Any]:
    return {
        "model": model,
        "model_kwargs": model_kwargs,
        "l2_weight": l2_weight,
        "training": settings,
        "validation": metrics_of(results),
        "triples_digest": triples_digest(training.mapped_triples),
    }


def resolve_auxiliary(auxiliary: ERModel | str | os.PathLike[str], triples: TripleSet) -> ERModel:
    """Return a trained model from itself or from the file it was saved to.

    :raises InputError: if the model has other entities or relations, or a saved one was trained on other triples
    """
    if isinstance(auxiliary, ERModel):
        model = auxiliary
    else:
        model, settings = load_model(auxiliary)
        if settings.get("triples_digest") != triples_digest(triples.triples):
            raise InputError(f"{auxiliary}: trained on other triples than these; train it on the same training triples")
    found = (model.num_entities, model.num_real_relations)
    if found != (triples.num_entities, triples.num_relations):
        raise InputError(
            f"the auxiliary model has {found[0]} entities and {found[1]} relations, the triples "
            f"{triples.num_entities} and {triples.num_relations}: train it on the same training triples"
        )
    return model


@contextmanager
def asked(model: ERModel) -> Iterator[ERModel]:
    """Switch a model to evaluation mode, without gradients, for as long as it is asked."""
    is_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield model
    finally:
        model.train(is_training)


@torch.inference_mode()
def entity_vectors(model: ERModel) -> FloatTensor:
    """Return one real vector an entity: all its representations side by side, complex ones as two reals.

    :returns: shape: (num_entities, dim)
    """
    return torch.cat(
        [real_vectors(representation(indices=None)) for representation in model.entity_representations], dim=-1
    )


@torch.inference_mode()
def predicted_vectors(
    model: ERModel, anchors: LongTensor, relations: LongTensor, sides: LongTensor
) -> FloatTensor | None:
    """Return where a model expects the missing entity of each pair, in the space of :func:`entity_vectors`.

    :param model: the model
    :param anchors: shape: (num_pairs,)
    :param relations: shape: (num_pairs,)
    :param sides: shape: (num_pairs,), 1 where the tail is missing; as all three, of the graph without inverse triples,
        which the model may have been trained on

    :returns: shape: (num_pairs, dim); None for a model that has no such vector
    """
    predict = _PREDICTORS.get(type(model.interaction))
    if predict is None:
        return None
    relations, sides = _own_relations(model, relations, sides)
    (entities,), (relation_vectors,) = model.entity_representations, model.relation_representations
    entity, relation = entities(indices=None), relation_vectors(indices=None)
    anchors, relations, sides = (ids.to(entity.device) for ids in (anchors, relations, sides))
    result = torch.empty(len(anchors), real_vectors(entity[:1]).shape[-1], device=entity.device)
    for side in (0, 1):
        chosen = sides == side
        result[chosen] = real_vectors(predict(entity, relation, anchors[chosen], relations[chosen], side == TAIL))
    return result


@torch.inference_mode()
def score_pairs(
    model: ERModel, anchors: LongTensor, relations: LongTensor, sides: LongTensor
) -> Iterator[tuple[LongTensor, FloatTensor]]:
    """Score all entities for some pairs at a time, by the model's own ``score_t`` and ``score_h``.

    :param model: the model
    :param anchors: shape: (num_pairs,)
    :param relations: shape: (num_pairs,)
    :param sides: shape: (num_pairs,), 1 where the tail is missing

    :yields: the positions of some pairs, shape: (block_size,); and their scores, shape: (block_size, num_entities)
    """
    from negsamp.pools.search import rows_in_budget

    # a model may hold a vector of each entity for each pair while it scores
    rows = rows_in_budget(entity_vectors(model).numel(), bytes_each=4)
    relations, sides = _own_relations(model, relations, sides)
    for side in (0, 1):
        chosen = (sides == side).nonzero().flatten()
        # splitting nothing gives one block of nothing, which some models cannot score
        blocks = torch.split(chosen, rows) if len(chosen) else ()
        for block in progress(blocks, description="scoring all entities", unit="block"):
            pair = [anchors[block], relations[block]]
            if side == TAIL:
                yield block, model.score_t(torch.stack(pair, dim=-1).to(model.device))
            else:
                yield block, model.score_h(torch.stack(pair[::-1], dim=-1).to(model.device))


def _own_relations(model: ERModel, relations: LongTensor, sides: LongTensor) -> tuple[LongTensor, LongTensor]:
    """Return a model's own relations and sides: one trained on inverse triples has learnt heads as tails of r⁻¹."""
    if not model.use_inverse_triples:
        return relations, sides
    return 2 * relations + (sides == HEAD).long(), torch.full_like(sides, TAIL)


#: entity matrix, relation matrix, anchors, relations, whether the tail is missing → vectors
Predictor = Callable[[torch.Tensor, torch.Tensor, LongTensor, LongTensor, bool], torch.Tensor]


def _translate(
    entity: torch.Tensor, relation: torch.Tensor, anchors: LongTensor, relations: LongTensor, tail: bool
) -> torch.Tensor:
    return entity[anchors] + (relation if tail else -relation)[relations]


def _multiply(
    entity: torch.Tensor, relation: torch.Tensor, anchors: LongTensor, relations: LongTensor, tail: bool
) -> torch.Tensor:
    # for real vectors the conjugate is the vector itself
    return entity[anchors] * (relation if tail else relation.conj())[relations]


def _transform(
    entity: torch.Tensor, relation: torch.Tensor, anchors: LongTensor, relations: LongTensor, tail: bool
) -> torch.Tensor:
    result = torch.empty(len(anchors), entity.shape[-1], device=entity.device)
    # a matrix for each relation: gathering one for each pair would take d times the memory of the result
    for r in torch.unique(relations).tolist():
        chosen = relations == r
        result[chosen] = entity[anchors[chosen]] @ (relation[r] if tail else relation[r].T)
    return result


_PREDICTORS: Mapping[type[Interaction], Predictor] = {
    TransEInteraction: _translate,
    DistMultInteraction: _multiply,
    ComplExInteraction: _multiply,
    RotatEInteraction: _multiply,
    RESCALInteraction: _transform,
}
