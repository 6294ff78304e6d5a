"""Stored pools: one safetensors file a sampler and data set."""

import os

from negsamp.errors import InputError
from negsamp.io import load_tensors, save_tensors
from negsamp.pools.exclusions import Exclusions, Lists
from negsamp.pools.spans import LookUp, Pools
from negsamp.pools.stage import Stage
from negsamp.pools.validation import check_lists, check_pools
from negsamp.triples import TripleSet

__all__ = ["load_stage", "save_stage"]

_POOLS = ("members", "offsets", "index", "keys", "outsiders")
_LISTS = ("places", "entries")
_LOOK_UPS = {look_up.value: look_up for look_up in LookUp}


def save_stage(path: str | os.PathLike[str], stage: Stage, triples: TripleSet, *, filtered: bool) -> None:
    """Store pools with their exclusions.

    :param path: the file to write
    :param stage: what to store
    :param triples: the graph that it was built from
    :param filtered: whether all known positives are excluded
    """
    pools = stage.pools
    tensors = {f"pools.{name}": getattr(pools, name) for name in _POOLS if getattr(pools, name) is not None}
    tensors |= {f"exclusions.{name}": getattr(stage.exclusions.lists, name) for name in _LISTS}
    save_tensors(path, tensors, {"look_up": pools.look_up, "filtered": filtered, **triples.identity})


def load_stage(path: str | os.PathLike[str], triples: TripleSet, *, name: str, filtered: bool) -> Stage:
    """Read what :func:`save_stage` wrote.

    :param path: the stored file
    :param triples: the graph that is sampled from
    :param name: the stage's name
    :param filtered: whether all known positives are to be excluded; pools stored the other way are kept, and their
        exclusions found anew

    :raises InputError: if the file is damaged, or was built from other triples
    """
    tensors, metadata = load_tensors(path)
    graph = {key: metadata.get(key) for key in triples.identity}
    if graph != triples.identity:
        raise InputError(f"{path}: built from other triples ({graph}, not {triples.identity}); rebuild the pools")
    try:
        pools = Pools(
            _LOOK_UPS[str(metadata["look_up"])],
            triples.num_entities,
            triples.num_relations,
            members=tensors.get("pools.members"),
            offsets=tensors["pools.offsets"],
            index=tensors["pools.index"],
            keys=tensors["pools.keys"],
            outsiders=tensors.get("pools.outsiders"),
        )
        check_pools(pools, triples)
        if metadata["filtered"] != filtered:
            return Stage(name, Exclusions.build(pools, triples, filtered=filtered))
        lists = Lists(**{key: tensors[f"exclusions.{key}"] for key in _LISTS})
        check_lists(lists, pools, triples)
        return Stage(name, Exclusions(pools, triples, filtered, lists))
    except KeyError as error:
        raise InputError(f"{path}: {error} is missing or unknown; rebuild the pools") from error
    except ValueError as error:
        raise InputError(f"{path}: no pools that can be drawn from ({error}); rebuild the pools") from error
