"""Make a sampler of this package for a data set, by name."""

import inspect
from typing import Any

from pykeen.datasets.base import Dataset

from negsamp.errors import InputError
from negsamp.sampling.base import PoolNegativeSampler
from negsamp.sampling.registered import SAMPLERS, SYNONYMS
from negsamp.schema import Schema

__all__ = ["make_sampler", "serves"]


def serves(name: str, schema: Schema | None) -> bool:
    """Tell whether a graph with this schema has what a sampler needs; an auxiliary model can be had for any graph."""
    match SAMPLERS[name].needs:
        case "classes":
            return schema is not None and schema.has_classes
        case "domains_and_ranges":
            return schema is not None and schema.has_domains_and_ranges
        case _:
            return True


def make_sampler(name: str, dataset: Dataset, **options: Any) -> PoolNegativeSampler:
    """Make a sampler for the training triples of a data set.

    :param name: one of :data:`negsamp.SAMPLERS`, or a synonym
    :param dataset: the data set; its ``schema``, if it has one, is used
    :param options: options of any of our samplers; those that this one does not have are left out

    :raises InputError: if there is no such sampler, or the data set has no schema that it could use
    """
    name = SYNONYMS.get(name, name)
    if name not in SAMPLERS:
        raise InputError(f"unknown sampler {name!r}: known are {', '.join(SAMPLERS)}")
    cls, schema = SAMPLERS[name], getattr(dataset, "schema", None)
    if not serves(name, schema):
        missing = cls.needs.replace("_", " ")
        raise InputError(f"{name} is not applicable: the data set has no {missing}")
    known = inspect.signature(cls).parameters
    training = dataset.training
    return cls(
        # as PyKEEN's own training instances do it
        mapped_triples=training._add_inverse_triples_if_necessary(training.mapped_triples),
        num_entities=training.num_entities,
        num_relations=training.num_relations,
        schema=schema,
        **{key: value for key, value in options.items() if key in known},
    )
