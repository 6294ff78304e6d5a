"""The samplers of this package by name, made known to PyKEEN's resolver."""

from pykeen.sampling import negative_sampler_resolver

from negsamp.sampling.adaptive_adversarial import AdaptiveAdversarialNegativeSampler
from negsamp.sampling.adversarial import AdversarialNegativeSampler
from negsamp.sampling.base import PoolNegativeSampler
from negsamp.sampling.corrupt import CorruptNegativeSampler
from negsamp.sampling.given import GivenNegativeSampler
from negsamp.sampling.nearest_neighbor import NearestNeighborNegativeSampler
from negsamp.sampling.random import RandomNegativeSampler
from negsamp.sampling.relational import RelationalNegativeSampler
from negsamp.sampling.typed import TypedNegativeSampler
from negsamp.sampling.typed_by_class import TypedByClassNegativeSampler

__all__ = ["SAMPLERS", "SYNONYMS", "register_sampler"]

#: other spellings
SYNONYMS = {"nearestneighbour": "nearestneighbor"}

#: every sampler of this package by name, in the order of the tables
SAMPLERS: dict[str, type[PoolNegativeSampler]] = {
    cls.get_normalized_name(): cls
    for cls in (
        RandomNegativeSampler,
        CorruptNegativeSampler,
        TypedNegativeSampler,
        TypedByClassNegativeSampler,
        RelationalNegativeSampler,
        NearestNeighborNegativeSampler,
        AdversarialNegativeSampler,
        AdaptiveAdversarialNegativeSampler,
        GivenNegativeSampler,
    )
}

for _name, _cls in SAMPLERS.items():
    _others = {synonym for synonym, name in SYNONYMS.items() if name == _name}
    negative_sampler_resolver.register(_cls, synonyms=_others, raise_on_conflict=False)


def register_sampler(cls: type[PoolNegativeSampler]) -> type[PoolNegativeSampler]:
    """Make a strategy of one's own known by name, to PyKEEN and to this package; used as a decorator.

    :param cls: the sampler; its name is that of the class in lower case, without ``NegativeSampler``. A class that is
        defined once more, in a notebook, replaces itself.

    :raises ValueError: if another sampler has this name
    """
    name = cls.get_normalized_name()
    known = negative_sampler_resolver.lookup_dict.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"the name {name!r} is that of {known.__name__} already: rename the class")
    negative_sampler_resolver.lookup_dict[name] = SAMPLERS[name] = cls
    return cls
