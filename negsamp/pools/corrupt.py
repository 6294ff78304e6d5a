"""Pool: the entities seen on the same side of the same relation."""

from negsamp.pools.spans import LookUp, Pools
from negsamp.triples import TripleSet

__all__ = ["corrupt_pools"]


def corrupt_pools(triples: TripleSet) -> Pools:
    """Collect the heads and the tails of each relation [socher2013]_."""
    _, relations, sides, entities = triples.completions()
    return Pools.from_rows(LookUp.RELATION, triples, 2 * relations + sides, entities, 2 * triples.num_relations)
