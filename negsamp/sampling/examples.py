"""Negatives by name: to see what a sampler does."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import torch
from pykeen.triples import TriplesFactory
from pykeen.typing import LongTensor

from negsamp.errors import InputError
from negsamp.sampling.base import PoolNegativeSampler

__all__ = ["choose_triples", "draw_examples"]


def choose_triples(
    factory: TriplesFactory,
    number: int,
    *,
    head: str | None = None,
    relation: str | None = None,
    tail: str | None = None,
) -> LongTensor:
    """Choose triples at random, by torch's generator.

    :param factory: the triples
    :param number: how many; all, if there are fewer
    :param head: the head of all of them; None: any
    :param relation: the relation, likewise
    :param tail: the tail, likewise

    :returns: shape: (at most ``number``, 3)

    :raises InputError: if a name is unknown, or no triple has them
    """
    triples = factory.mapped_triples
    ids = (factory.entity_to_id, factory.relation_to_id, factory.entity_to_id)
    wanted = {"head": head, "relation": relation, "tail": tail}
    for column, (kind, name) in enumerate(wanted.items()):
        if name is None:
            continue
        if name not in ids[column]:
            close = get_close_matches(name, ids[column], n=3)
            hint = (
                f"did you mean {', '.join(map(repr, close))}?"
                if close
                else f"none of {len(ids[column]):,} names is like it"
            )
            raise InputError(f"unknown {kind} {name!r}: {hint}")
        triples = triples[triples[:, column] == ids[column][name]]
    if not len(triples):
        asked = ", ".join(f"{kind} {name!r}" for kind, name in wanted.items() if name is not None)
        raise InputError(f"no training triple has {asked}")
    return triples[torch.randperm(len(triples))[:number]]


def draw_examples(sampler: PoolNegativeSampler, factory: TriplesFactory, positives: LongTensor) -> list[dict[str, Any]]:
    """Draw negatives of some triples, and put all in names.

    :param sampler: draws them
    :param factory: knows the names
    :param positives: shape: (num_triples, 3), without artificial inverses

    :returns: by positive, ``positive`` (head, relation, tail) and ``negatives``: the ``side`` that is replaced, the
        ``entity`` that replaces it, and the ``stage`` that it was drawn from; ``side`` and ``entity`` are None where
        nothing was left to draw from (``"masked"``)
    """
    negatives, stages = sampler.sample_with_stages(positives)
    entities, relations = factory.entity_id_to_label, factory.relation_id_to_label
    examples = []
    for positive, drawn, filled_by in zip(positives.tolist(), negatives.tolist(), stages.tolist(), strict=True):
        shown = []
        for negative, position in zip(drawn, filled_by, strict=True):
            stage = sampler.usage.stages[position]
            is_drawn = stage != "masked"
            column = 0 if negative[0] != positive[0] else 2
            shown.append(
                {
                    "side": ("head", "", "tail")[column] if is_drawn else None,
                    "entity": entities[negative[column]] if is_drawn else None,
                    "stage": stage,
                }
            )
        head, relation, tail = positive
        examples.append({"positive": [entities[head], relations[relation], entities[tail]], "negatives": shown})
    return examples
