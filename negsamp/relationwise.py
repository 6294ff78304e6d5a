"""Models whose relations are matrices, scored relation by relation."""

from __future__ import annotations

from typing import Any

import torch
from pykeen.models import RESCAL, ERModel, Model, TransR, model_resolver
from pykeen.regularizers import LpRegularizer
from pykeen.typing import FloatTensor, LongTensor
from pykeen.utils import upgrade_to_sequence

__all__ = ["RelationwiseRESCAL", "RelationwiseTransR", "relationwise"]


class _Relationwise(ERModel):
    """Take the matrix of a relation once a batch, where PyKEEN gathers it for each triple.

    In dimension 100, that would be 40 kB a triple: 440 MB for a thousand positives with ten negatives each. Parameters,
    scores and regularization are those of the model itself, but for the order of additions.
    """

    def score_hrt(self, hrt_batch: LongTensor, *, mode: Any = None) -> FloatTensor:
        """Score triples.

        :param hrt_batch: shape: (batch_size, 3)
        :param mode: as PyKEEN's

        :returns: shape: (batch_size, 1)
        """
        relations, which, counts = hrt_batch[:, 1].unique(return_inverse=True, return_counts=True)
        order = which.argsort(stable=True)
        heads, tails = hrt_batch[order, 0], hrt_batch[order, 2]
        regularizers = [representation.regularizer for representation in self.relation_representations]
        try:
            for representation in self.relation_representations:
                representation.regularizer = None
            h, r, t = self._get_representations(h=heads, r=relations, t=tails, mode=mode)
        finally:
            for representation, regularizer in zip(self.relation_representations, regularizers, strict=True):
                representation.regularizer = regularizer
        parts = upgrade_to_sequence(r)
        for part, regularizer in zip(parts, regularizers, strict=True):
            if isinstance(regularizer, LpRegularizer):
                # the mean norm of the rows of all triples' matrices; the norm of a single number is that number
                norms = torch.linalg.vector_norm(part, ord=regularizer.p, dim=-1, keepdim=True)
                regularizer.update(norms[which])
        sizes = counts.tolist()
        groups = zip(h.split(sizes), zip(*(part.unbind() for part in parts), strict=True), t.split(sizes), strict=True)
        scores = [self.interaction(h=h, r=r if len(r) > 1 else r[0], t=t) for h, r, t in groups]
        return torch.cat(scores)[order.argsort()].unsqueeze(dim=-1)


class RelationwiseRESCAL(_Relationwise, RESCAL):
    """PyKEEN's RESCAL, scored relation by relation."""


class RelationwiseTransR(_Relationwise, TransR):
    """PyKEEN's TransR, scored relation by relation."""


_BY_MODEL: dict[type[Model], type[Model]] = {RESCAL: RelationwiseRESCAL, TransR: RelationwiseTransR}


def relationwise(model: str) -> type[Model]:
    """Return a model by PyKEEN's name, the one that is scored relation by relation where there is one."""
    found = model_resolver.lookup(model)
    return _BY_MODEL.get(found, found)
