"""RESCAL by alternating least squares: a factorisation of the training triples, without any negative."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import FloatTensor
from scipy import linalg, sparse

from negsamp.progress import progress

__all__ = ["factorize"]

Array = NDArray[Any]

#: the least weight of the squares, so that each step has one solution
RIDGE = 1e-3


def factorize(
    training: CoreTriplesFactory, embedding_dim: int, iterations: int, l2_weight: float = 0.0, random_seed: int = 0
) -> tuple[FloatTensor, FloatTensor]:
    """Factorise the adjacency matrices of all relations, X_r ≈ A W_r Aᵀ, as RESCAL was first trained [nickel2011]_.

    Each step lowers the squared error over all entities × relations × entities; it costs a few products of sparse
    matrices with A, since what is no triple is 0 and needs no look.

    :param training: the training triples
    :param embedding_dim: d
    :param iterations: how often A and all W_r are solved for
    :param l2_weight: the weight of the squares of A and W_r beside the squared error; at least 0.001
    :param random_seed: fixes the result, by the vectors it starts from

    :returns: A, shape: (num_entities, d), and all W_r, shape: (num_relations, d, d)
    """
    heads, relations, tails = training.mapped_triples.cpu().numpy().T
    shape = (training.num_entities, training.num_entities)
    slices = []
    for relation in range(training.num_relations):
        (mine,) = np.nonzero(relations == relation)
        slices.append(
            sparse.csr_array((np.ones(len(mine)), (heads[mine], tails[mine])), shape=shape).astype(bool) * 1.0
        )
    generator = torch.Generator().manual_seed(random_seed)
    entities = torch.randn(training.num_entities, embedding_dim, generator=generator, dtype=torch.double).numpy()
    weight = max(l2_weight, RIDGE)
    for _ in progress(range(iterations), description="solving for RESCAL", unit="iteration"):
        entities = _solve_entities(slices, entities, _solve_relations(slices, entities, weight), weight)
    cores = _solve_relations(slices, entities, weight)
    return torch.as_tensor(entities, dtype=torch.float), torch.as_tensor(cores, dtype=torch.float)


def _solve_relations(slices: list[sparse.csr_array], entities: Array, weight: float) -> Array:
    """Return the best W_r of given vectors."""
    left, sizes, right = linalg.svd(entities, full_matrices=False, check_finite=False)
    scale = np.outer(sizes, sizes)
    scale /= scale**2 + weight
    return np.stack([right.T @ (scale * (left.T @ (matrix @ left))) @ right for matrix in slices])


def _solve_entities(slices: list[sparse.csr_array], entities: Array, cores: Array, weight: float) -> Array:
    """Return the best vectors of heads and tails where those on the other side are the given ones."""
    gram = entities.T @ entities
    target = np.zeros_like(entities)
    normal = weight * np.eye(entities.shape[1])
    for matrix, core in zip(slices, cores, strict=True):
        target += matrix @ (entities @ core.T) + matrix.T @ (entities @ core)
        normal += core @ gram @ core.T + core.T @ gram @ core
    solved: Array = linalg.solve(normal, target.T, assume_a="pos", check_finite=False).T
    return solved
