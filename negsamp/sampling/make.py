"""Make a sampler of this package for a data set, by name."""

import inspect
from typing import Any

from pykeen.datasets.base import Dataset

from negsamp.errors import InputError
from negsamp.sampling.base import PoolNegativeSampler
from negsamp.sampling.registered import SAMPLERS, SYNONYMS

__all__ = ["make_sampler", "missing_for", "serves"]


def serves(name: str, dataset: Dataset, infer_schema: float | None = None) -> bool:
    """Tell whether a data set has what a sampler needs; an auxiliary model can be had for any.

    :param name: one of :data:`negsamp.SAMPLERS`
    :param dataset: the data set, with its ``schema`` and ``negatives`` if it has them
    :param infer_schema: whether domains and ranges are inferred from classes, see :class:`negsamp.PoolNegativeSampler`
    """
    schema = getattr(dataset, "schema", None)
    has_classes = schema is not None and schema.has_classes
    match SAMPLERS[name].needs:
        case "classes":
            return has_classes
        case "domains_and_ranges":
            is_inferred = infer_schema is not None and has_classes
            return is_inferred or (schema is not None and schema.has_domains_and_ranges)
        case "negatives":
            return getattr(dataset, "negatives", None) is not None
        case _:
            return True


def missing_for(name: str, dataset: Dataset) -> str:
    """Name what a data set lacks that does not serve a sampler, and what may stand in for it."""
    needs = SAMPLERS[name].needs
    schema = getattr(dataset, "schema", None)
    can_infer = needs == "domains_and_ranges" and schema is not None and schema.has_classes
    remedy = "; infer them from its classes: infer_schema=0.9, or --infer-schema 0.9"
    return needs.replace("_", " ") + (remedy if can_infer else "")


def make_sampler(name: str, dataset: Dataset, **options: Any) -> PoolNegativeSampler:
    """Make a sampler for the training triples of a data set.

    :param name: one of :data:`negsamp.SAMPLERS`, or a synonym
    :param dataset: the data set; its ``schema`` and ``negatives``, if it has them, are used
    :param options: options of any of our samplers; those that this one does not have are left out

    :raises InputError: if there is no such sampler, or the data set has nothing that it could use
    """
    name = SYNONYMS.get(name, name)
    if name not in SAMPLERS:
        raise InputError(f"unknown sampler {name!r}: known are {', '.join(SAMPLERS)}")
    cls = SAMPLERS[name]
    if not serves(name, dataset, options.get("infer_schema")):
        raise InputError(f"{name} is not applicable: the data set has no {missing_for(name, dataset)}")
    options = {**{key: getattr(dataset, key, None) for key in ("schema", "negatives")}, **options}
    known = inspect.signature(cls).parameters
    training = dataset.training
    return cls(
        # as PyKEEN's own training instances do it
        mapped_triples=training._add_inverse_triples_if_necessary(training.mapped_triples),
        num_entities=training.num_entities,
        num_relations=training.num_relations,
        **{key: value for key, value in options.items() if key in known},
    )
