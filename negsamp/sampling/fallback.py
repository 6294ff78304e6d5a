"""What a pool that is too small falls back to, and how slots are filled stage by stage."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from negsamp.errors import InputError
from negsamp.pools import (
    Pools,
    Queries,
    Slots,
    Stage,
    corrupt_pools,
    relational_pools,
    typed_ancestor_pools,
    typed_by_class_pools,
    typed_pools,
)
from negsamp.schema import Schema
from negsamp.triples import TripleSet

__all__ = ["Fallback", "fallback_names", "fill", "named_pools", "number_ancestors"]

#: None, ``"random"``, ``"semantic"``, or pools by name
Fallback = str | Sequence[str] | None

#: the pools by name that are known to every sampler
POOLS = ("everything", "corrupt", "relational", "typed", "ancestors", "typedbyclass")
NEED_SCHEMA = ("typed", "ancestors", "typedbyclass")


def fallback_names(fallback: Fallback, semantic: Sequence[str], schema: Schema | None) -> Sequence[str]:
    """List the pools that a fallback means.

    :param fallback: see :class:`negsamp.PoolNegativeSampler`
    :param semantic: what ``"semantic"`` means to the sampler; pools of a schema are left out where there is none
    :param schema: the schema

    :raises ValueError: if there is no such fallback, or a pool is named twice
    """
    match fallback:
        case None:
            return ()
        case "random":
            return ("everything",)
        case "semantic":
            return [name for name in semantic if schema is not None or name not in NEED_SCHEMA]
        case str():
            raise ValueError(f"fallback is {fallback!r}; it must be None, 'random', 'semantic' or a list of pools")
    names = ["everything" if name == "random" else name for name in fallback]
    if len(set(names)) < len(names):
        raise ValueError(f"fallback is {list(fallback)!r}; each pool can be named once")
    return names


def named_pools(name: str, triples: TripleSet, schema: Schema | None) -> Iterator[tuple[str, Pools]]:
    """Give the pools that a name in a fallback stands for, each with the name by which its slots are counted.

    :param name: one of :data:`POOLS`
    :param triples: the graph
    :param schema: what is known of classes, domains and ranges

    :raises InputError: if the pool needs a schema and there is none
    :raises ValueError: if there is no such name
    """
    match name:
        case "everything":
            yield name, Pools.everything(triples)
        case "corrupt":
            yield name, corrupt_pools(triples)
        case "relational":
            yield name, relational_pools(triples)
        case _ if name not in NEED_SCHEMA:
            known = ", ".join([*POOLS, "or be random or semantic"])
            raise ValueError(f"no pool is called {name!r}; a fallback may name {known}")
        case _ if schema is None:
            raise InputError(f"the fallback {name!r} needs a schema: give schema=...")
        case "typed":
            # what rests on a guess is told from what is known
            yield "typed_inferred" if len(schema.inferred) else "typed", typed_pools(triples, schema)
        case "typedbyclass":
            yield name, typed_by_class_pools(triples, schema)
        case "ancestors":
            yield from number_ancestors(typed_ancestor_pools(triples, schema))


def number_ancestors(wider: Iterable[Pools]) -> Iterator[tuple[str, Pools]]:
    """Name the pools of ancestors by their distance."""
    for distance, pools in enumerate(wider, start=1):
        yield f"ancestors_{distance}", pools


def fill(stages: Sequence[Stage], slots: Slots, queries: Queries, *, own_is_known: bool) -> int:
    """Fill slots stage by stage.

    A stage that holds at least the slots that are left of a query gives them with replacement; a smaller one gives each
    of its entities once; the last stage that holds anything gives all that is left.

    :param stages: in the order of their turns
    :param slots: the empty slots
    :param queries: the two queries of each positive
    :param own_is_known: see :meth:`negsamp.pools.Stage.ask`

    :returns: how many slots none has filled
    """
    answers = [stages[0].ask(queries, own_is_known=own_is_known)]
    if len(stages) > 1 and (answers[0].free < slots.needs).any():
        answers += [stage.ask(queries, own_is_known=own_is_known) for stage in stages[1:]]
    left = 0
    for number, (stage, answer) in enumerate(zip(stages, answers, strict=False)):
        later = [other.free > 0 for other in answers[number + 1 :]]
        left = stage.draw(answer, slots, np.any(later, axis=0) if later else np.empty(0, np.bool_), number)
    return left
