"""The contenders that are no samplers of ours draw what they say, and those that cannot be made are told of."""

from pathlib import Path

import pytest
import torch

from negsamp.bench import contenders
from negsamp.bench.contenders import ALL, Arena, give_negatives, group_of
from negsamp.bench.run import choose, open_arena
from negsamp.datasets import load_dataset
from negsamp.errors import InputError
from negsamp.negatives import GivenNegatives
from negsamp.sampling import PoolNegativeSampler, make_sampler
from negsamp.triples import TripleSet

#: what draws no triples, and what has an auxiliary model
PLAIN = [name for name in Arena(give_negatives(load_dataset("synthetic"))).names() if name != "limit"]


@pytest.fixture(scope="module")
def arena() -> Arena:
    return Arena(give_negatives(load_dataset("synthetic")))


@pytest.mark.parametrize("name", PLAIN)
def test_one_side_at_most_is_replaced(name: str, arena: Arena) -> None:
    positives = arena.dataset.training.mapped_triples[:50]
    drawn, mask = arena.make(name, 3).sample(positives)
    assert drawn.shape == (50, 3, 3)
    assert mask is None or mask.shape == (50, 3)
    differs = drawn != positives.unsqueeze(dim=1)
    assert not differs[..., 1].any()
    assert (differs.sum(dim=-1) <= 1).all()
    assert differs.any()


def test_the_loop_draws_from_the_pools_of_corrupt_without_known_positives(arena: Arena) -> None:
    dataset = arena.dataset
    positives = dataset.training.mapped_triples
    drawn, _ = arena.make("loop", 4).sample(positives)
    triples = TripleSet(positives, dataset.num_entities, dataset.num_relations)
    is_new = (drawn != positives.unsqueeze(dim=1)).any(dim=-1)
    assert is_new.any()
    negatives = drawn[is_new]
    assert not triples.contains(*negatives.unbind(dim=-1)).any()
    pools = make_sampler("corrupt", dataset, num_negs_per_pos=4).pools
    for column, side in ((0, 0), (2, 1)):
        changed = (drawn != positives.unsqueeze(dim=1))[..., column]
        # balanced: two of four slots a side
        assert (changed.sum(dim=1) <= 2).all()
        chosen = drawn[changed]
        span = 2 * chosen[:, 1] + side
        for row, entity in zip(span.tolist(), chosen[:, column].tolist(), strict=True):
            members = pools.members[pools.offsets[row] : pools.offsets[row + 1]]
            assert entity in members.tolist()


def test_the_limit_draws_as_many_numbers(arena: Arena) -> None:
    drawn, mask = arena.make("limit", 7).sample(arena.dataset.training.mapped_triples[:5])
    assert drawn.shape == (5, 7)
    assert mask is None


def test_torchkge_is_left_out_where_it_is_not_installed(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders.importlib.util, "find_spec", lambda name: None)
    assert "torchkge" not in arena.names()
    assert arena.left_out()["torchkge"] == "not installed (pip install torchkge)"
    with pytest.raises(InputError, match="torchkge is not applicable: not installed"):
        choose("throughput", arena, ["torchkge"])


def test_every_contender_can_be_made_where_there_is_all_they_need(tmp_path: Path) -> None:
    with open_arena(load_dataset("synthetic"), ["adversarial"]) as arena:
        assert arena.names() == list(ALL)
        assert not arena.left_out()
        adaptive = arena.make("adaptiveadversarial", 2)
        assert isinstance(adaptive, PoolNegativeSampler)
        assert adaptive.pools is arena.found["adversarial"]
    assert not Path(arena.auxiliary).exists()


def test_a_model_is_trained_only_where_it_is_needed() -> None:
    with open_arena(load_dataset("nations"), ["basic", "corrupt"]) as arena:
        assert arena.auxiliary is None
        assert arena.left_out()["adversarial"] == "there is no auxiliary model"


def test_what_is_measured_is_chosen(arena: Arena) -> None:
    assert choose("throughput", arena) == arena.names()
    assert choose("throughput", arena, ["corrupt"]) == ["basic", "corrupt"]
    epoch = choose("epoch", arena)
    assert {"basic", "basic+bloom", "corrupt"} <= set(epoch)
    assert not {"limit", "loop", "basic+python-set"} & set(epoch)
    assert choose("build", arena, ["corrupt", "limit"]) == ["corrupt"]


def test_groups() -> None:
    names = ("basic", "basic+exact", "corrupt", "loop", "limit")
    assert [group_of(name) for name in names] == ["PyKEEN", "PyKEEN, filtered", "negsamp", "other", "other"]


def test_given_negatives_are_kept_or_made_up() -> None:
    nations = load_dataset("nations")
    given = give_negatives(nations, per_triple=2)
    assert nations.negatives is None
    assert isinstance(given.negatives, GivenNegatives)
    known = TripleSet(nations.training.mapped_triples, nations.num_entities, nations.num_relations)
    assert not known.contains(*given.negatives.triples.unbind(dim=-1)).any()
    assert give_negatives(given) is given
    assert torch.equal(given.negatives.rows, torch.unique(given.negatives.rows, dim=1))
