"""All entities scored for many pairs: matrix products and distances, where PyKEEN broadcasts each pair over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from pykeen.models import ERModel
from pykeen.nn import (
    ComplExInteraction,
    CPInteraction,
    DistMultInteraction,
    HolEInteraction,
    Interaction,
    QuatEInteraction,
    RESCALInteraction,
    RotatEInteraction,
    SimplEInteraction,
    TransDInteraction,
    TransEInteraction,
    TransHInteraction,
    TransRInteraction,
)
from pykeen.nn.modules import ClampedInteraction
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, FloatTensor, LongTensor, Target
from pykeen.utils import clamp_norm, project_entity, upgrade_to_sequence

__all__ = ["real_vectors", "score_blocks"]

#: bytes of one block of scores: about what a processor's cache holds, beyond which each pass waits for memory
BLOCK_BYTES = 32 << 20

#: bytes of the vectors that a model may broadcast at a time
BROADCAST_BYTES = 256 << 20


def real_vectors(vectors: torch.Tensor) -> FloatTensor:
    """Return one real vector a row, complex numbers as two reals.

    :param vectors: shape: (num_rows, ...), real or complex

    :returns: shape: (num_rows, dim)
    """
    return (torch.view_as_real(vectors.resolve_conj()) if vectors.is_complex() else vectors).flatten(start_dim=1)


@torch.no_grad()
def score_blocks(
    model: ERModel,
    anchors: LongTensor,
    relations: LongTensor,
    target: Target,
    *,
    batch_size: int | None = None,
    slice_size: int | None = None,
) -> Iterator[FloatTensor]:
    """Score all entities for some pairs at a time, in bounded memory; the larger the score, the better.

    Scores order the entities of a pair as those of :meth:`pykeen.models.Model.predict` do: a distance may lack its
    power or root. Products are summed in double precision and rounded to the model's own, so that equal vectors get
    equal scores wherever they stand in the matrix.

    :param model: the model, in evaluation mode
    :param anchors: shape: (num_pairs,), on the model's device
    :param relations: shape: (num_pairs,), in ascending order; of the graph without inverse triples, which the model
        may have been trained on
    :param target: ``"head"`` or ``"tail"``, which is missing
    :param batch_size: at most so many pairs at a time
    :param slice_size: at most so many entities at a time, where the model broadcasts

    :yields: the scores of the next pairs, shape: (block_size, num_entities)
    """
    interaction = _interaction(model)
    if interaction is None:
        pairs = torch.stack([anchors, relations] if target == LABEL_TAIL else [relations, anchors], dim=-1)
        numbers = sum(representation(indices=None).numel() for representation in model.entity_representations)
        for block in pairs.split(_rows(BROADCAST_BYTES, 4 * numbers, batch_size)):
            yield model.predict(block, target, full_batch=False, slice_size=slice_size)
        return
    is_tail = target == LABEL_TAIL
    if model.use_inverse_triples:
        # such a model has learnt heads as tails of the inverse relation
        relations, is_tail = 2 * relations + (target == LABEL_HEAD), True
    if type(interaction) in _BILINEAR:
        yield from _products(model, anchors, relations, is_tail, batch_size)
    else:
        yield from _closeness(model, interaction, anchors, relations, is_tail, batch_size)


def _interaction(model: ERModel) -> Interaction | None:
    """Return what computes a model's scores; None: not by products or distances alone."""
    # models may have a score of their own, and a sigmoid makes ties
    if (type(model).score_h, type(model).score_t) != (ERModel.score_h, ERModel.score_t) or model.predict_with_sigmoid:
        return None
    interaction = model.interaction
    # SimplE comes in a clamp, which does nothing unless it is told to
    if isinstance(interaction, ClampedInteraction) and interaction.clamp_score is None:
        interaction = interaction.base
    return interaction if type(interaction) in _BILINEAR | _TRANSLATIONAL.keys() else None


def _rows(budget: int, bytes_each: int, batch_size: int | None) -> int:
    """Return how many rows of so many bytes fit into a budget, at least one."""
    rows = max(budget // max(bytes_each, 1), 1)
    return rows if batch_size is None else min(rows, batch_size)


# Bilinear models: a product of the entity with what the rest of the triple asks for

_BILINEAR: frozenset[type[Interaction]] = frozenset(
    {
        ComplExInteraction,
        CPInteraction,
        DistMultInteraction,
        HolEInteraction,
        QuatEInteraction,
        RESCALInteraction,
        SimplEInteraction,
    }
)


def _products(
    model: ERModel, anchors: LongTensor, relations: LongTensor, is_tail: bool, batch_size: int | None
) -> Iterator[FloatTensor]:
    interaction = model.interaction
    indices = interaction.tail_indices if is_tail else interaction.head_indices
    points = torch.cat([real_vectors(model.entity_representations[i](indices=None)) for i in indices], dim=-1)
    columns = points.double().T
    # RESCAL has a matrix for each pair
    numbers = len(points) + sum(relation[0].numel() for relation in _of(model.relation_representations, relations[:1]))
    rows = _rows(BLOCK_BYTES, 8 * numbers, batch_size)
    for block in zip(anchors.split(rows), relations.split(rows), strict=True):
        yield (_gradients(model, *block, is_tail).double() @ columns).to(points.dtype)


def _gradients(model: ERModel, anchors: LongTensor, relations: LongTensor, is_tail: bool) -> FloatTensor:
    """Return the gradient of the score by the missing entity, which multiplies this entity where the score is linear.

    :returns: shape: (num_pairs, dim)
    """
    # what is differentiated must not come from a caller's inference mode
    with torch.inference_mode(mode=False), torch.no_grad():
        parts = dict(zip("hrt", model._get_representations(h=anchors, r=relations, t=anchors, mode=None), strict=True))
        side = "t" if is_tail else "h"
        missing = [torch.zeros_like(part, requires_grad=True) for part in upgrade_to_sequence(parts[side])]
        parts[side] = missing if len(missing) > 1 else missing[0]
        with torch.enable_grad():
            gradients = torch.autograd.grad(model.interaction(**parts).sum(), missing)
    return torch.cat([real_vectors(gradient) for gradient in gradients], dim=-1)


# Translational models: the distance of the entity from where the relation moves the other one

#: interaction, entities, one relation → where the entities are as this relation sees them
Projection = Callable[[Any, Sequence[torch.Tensor], Sequence[torch.Tensor]], torch.Tensor]


def _by_matrix(
    interaction: TransRInteraction, entities: Sequence[torch.Tensor], relation: Sequence[torch.Tensor]
) -> torch.Tensor:
    (points,), (_, matrix) = entities, relation
    return clamp_norm(points @ matrix[0], p=interaction.p, dim=-1, maxnorm=interaction.max_projection_norm)


def _onto_plane(
    _interaction: TransHInteraction, entities: Sequence[torch.Tensor], relation: Sequence[torch.Tensor]
) -> torch.Tensor:
    (points,), (normal, _) = entities, relation
    return points - (points @ normal.T) * normal


def _by_vectors(
    _interaction: TransDInteraction, entities: Sequence[torch.Tensor], relation: Sequence[torch.Tensor]
) -> torch.Tensor:
    (points, vectors), (_, vector) = entities, relation
    return project_entity(e=points, e_p=vectors, r_p=vector)


#: which of a relation's representations moves the entities, and how they are projected before; None: not at all
_TRANSLATIONAL: Mapping[type[Interaction], tuple[int, Projection | None]] = {
    TransEInteraction: (0, None),
    RotatEInteraction: (0, None),
    TransRInteraction: (0, _by_matrix),
    TransHInteraction: (1, _onto_plane),
    TransDInteraction: (0, _by_vectors),
}


def _closeness(
    model: ERModel,
    interaction: Any,
    anchors: LongTensor,
    relations: LongTensor,
    is_tail: bool,
    batch_size: int | None,
) -> Iterator[FloatTensor]:
    translation, project = _TRANSLATIONAL[type(interaction)]
    entities = [representation(indices=None) for representation in model.entity_representations]
    points = entities[0]
    # points that differ between relations are found once for each
    sizes = [len(relations)] if project is None else relations.unique_consecutive(return_counts=True)[1].tolist()
    for some, theirs in zip(anchors.split(sizes), relations.split(sizes), strict=True):
        if project is not None:
            points = project(interaction, entities, _of(model.relation_representations, theirs[:1]))
        # the modulus of complex numbers is Euclidean
        closeness = _closeness_to(real_vectors(points), 2 if points.is_complex() else interaction.p)
        rows = _rows(BLOCK_BYTES, 8 * len(points), batch_size)
        for block, relation in zip(some.split(rows), theirs.split(rows), strict=True):
            movement = model.relation_representations[translation](relation)
            yield closeness(real_vectors(_moved(points[block], movement, is_tail)))


def _of(representations: Sequence[Callable[[LongTensor], torch.Tensor]], ids: LongTensor) -> list[torch.Tensor]:
    return [representation(ids) for representation in representations]


def _moved(points: torch.Tensor, movements: torch.Tensor, is_tail: bool) -> torch.Tensor:
    """Turn complex points and shift real ones, backwards where the head is missing."""
    if points.is_complex():
        return points * (movements if is_tail else movements.conj())
    return points + (movements if is_tail else -movements)


def _closeness_to(points: FloatTensor, p: float) -> Callable[[FloatTensor], FloatTensor]:
    """Return what gives queries of shape (num_queries, dim) their negative distances from all points."""
    if p == 1 and points.device.type == "cpu":
        columns = points.T.contiguous()
        return lambda queries: _negative_manhattan(queries, columns)
    if p != 2:
        return lambda queries: -torch.cdist(queries, points, p=p)
    # −‖q − e‖² as a product: (2q, −‖q‖², −1) · (e, 1, ‖e‖²); without ‖q‖², rounding would hide small distances
    rows = points.double()
    columns = torch.cat([rows, torch.ones_like(rows[:, :1]), _squares(rows)], dim=-1).T

    def negative_squares(queries: FloatTensor) -> FloatTensor:
        rows = queries.double()
        rows = torch.cat([2 * rows, -_squares(rows), -torch.ones_like(rows[:, :1])], dim=-1)
        return (rows @ columns).to(points.dtype)

    return negative_squares


def _squares(vectors: FloatTensor) -> FloatTensor:
    return vectors.square().sum(dim=-1, keepdim=True)


def _negative_manhattan(queries: FloatTensor, columns: FloatTensor) -> FloatTensor:
    """Return what ``-torch.cdist(queries, columns.T, p=1)`` does, several times faster on one thread."""
    result = queries.new_zeros(len(queries), columns.shape[1])
    _subtract_distances(queries.numpy(), columns.numpy(), result.numpy())
    return result


Array = NDArray[np.floating]

#: points that are compared at a time: all their numbers stay in the processor's second cache
_TILE = 1024


@njit(cache=True, nogil=True)
def _subtract_distances(queries: Array, columns: Array, result: Array) -> None:
    for begin in range(0, columns.shape[1], _TILE):
        for i in range(len(queries)):
            part = result[i, begin : begin + _TILE]
            for k in range(len(columns)):
                own, column = queries[i, k], columns[k, begin : begin + _TILE]
                for j in range(len(part)):
                    part[j] -= abs(column[j] - own)
