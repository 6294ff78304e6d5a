"""Stored pools are the pools that were built, or they are refused."""

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import Graph, graph_named, graph_of
from safetensors.torch import load_file

from negsamp import SAMPLERS
from negsamp.errors import InputError
from negsamp.io import load_tensors, save_tensors
from negsamp.pools import Stage, load_stage, save_stage
from negsamp.triples import TripleSet


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


def store(path: Path, graph: Graph, name: str, *, filtered: bool = True) -> Stage:
    stage = graph.sampler(name, filtered=filtered).stages[0]
    save_stage(path, stage, graph.triples, filtered=filtered)
    return stage


def negatives(graph: Graph, name: str, **options: Any) -> torch.Tensor:
    sampler = graph.sampler(name, num_negs_per_pos=7, **options)
    torch.manual_seed(3)
    return sampler.sample(graph.lines[:200])[0]


def same(one: Stage, other: Stage) -> bool:
    pools = ("members", "offsets", "index", "keys", "outsiders")
    exclusions = ("lists.places", "lists.entries")
    fields = [*(f"pools.{field}" for field in pools), *(f"exclusions.{field}" for field in exclusions)]
    pairs = [(attrgetter(field)(one), attrgetter(field)(other)) for field in fields]
    equal = all((a is None and b is None) or torch.equal(a, b) for a, b in pairs)
    return equal and one.pools.look_up == other.pools.look_up


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_stored_pools_draw_as_the_built_ones(name: str, filtered: bool, graph: Graph, tmp_path: Path):
    path = tmp_path / "pools.safetensors"
    stage = store(path, graph, name, filtered=filtered)
    loaded = load_stage(path, graph.triples, name="pool", filtered=filtered)
    assert loaded.name == "pool"
    assert same(loaded, stage)
    built = negatives(graph, name, filtered=filtered)
    for form in (path, str(path), stage.pools):
        assert torch.equal(negatives(graph, name, filtered=filtered, pools=form), built)


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_pools_stored_the_other_way_get_their_own_exclusions(name: str, filtered: bool, graph: Graph, tmp_path: Path):
    path = tmp_path / "pools.safetensors"
    store(path, graph, name, filtered=not filtered)
    sampler = graph.sampler(name, filtered=filtered, pools=path)
    assert same(sampler.stages[0], graph.sampler(name, filtered=filtered).stages[0])


def test_stored_pools_need_neither_schema_nor_auxiliary(graph: Graph, tmp_path: Path):
    for name in ("typed", "typedbyclass", "nearestneighbor", "adversarial"):
        path = tmp_path / f"{name}.safetensors"
        store(path, graph, name)
        sampler = SAMPLERS[name](
            mapped_triples=graph.lines, num_entities=graph.num_entities, num_relations=graph.num_relations, pools=path
        )
        assert same(sampler.stages[0], graph.sampler(name).stages[0])


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_pools_are_the_same_bytes(name: str, graph: Graph, tmp_path: Path):
    contents = []
    for file in ("one.safetensors", "two.safetensors"):
        store(tmp_path / file, graph, name)
        contents.append((tmp_path / file).read_bytes())
    assert contents[0] == contents[1]


def test_the_file_can_be_read_without_the_package(graph: Graph, tmp_path: Path):
    path = tmp_path / "corrupt.safetensors"
    stage = store(path, graph, "corrupt")
    assert torch.equal(load_file(path)["pools.members"], stage.pools.members)


def test_pools_of_other_triples_are_refused(graph: Graph, tmp_path: Path):
    path = tmp_path / "pools.safetensors"
    store(path, graph, "corrupt")
    fewer = Graph("fewer", graph.lines[1:], graph.num_entities, graph.num_relations, graph.plain)
    more_entities = Graph("more", graph.lines, graph.num_entities + 1, graph.num_relations, graph.plain)
    for other in (fewer, more_entities, graph_of({(0, 0, 1)}, num_entities=2, num_relations=1)):
        with pytest.raises(InputError, match=r"pools\.safetensors: built from other triples .* rebuild the pools"):
            other.sampler("corrupt", pools=path)


def test_the_order_of_the_lines_does_not_matter(graph: Graph, tmp_path: Path):
    path = tmp_path / "pools.safetensors"
    store(path, graph, "corrupt")
    lines = torch.cat([graph.lines.flip(0), graph.lines[:5]])
    same_graph = Graph("the same", lines, graph.num_entities, graph.num_relations, graph.plain)
    assert same(same_graph.sampler("corrupt", pools=path).stages[0], graph.sampler("corrupt").stages[0])


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_cut_file_is_named(keep: int, graph: Graph, tmp_path: Path):
    path = tmp_path / "pools.safetensors"
    store(path, graph, "corrupt")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"pools\.safetensors: cannot be read as safetensors .* delete and rebuild it"):
        graph.sampler("corrupt", pools=path)


def test_a_missing_file_is_named(graph: Graph, tmp_path: Path):
    with pytest.raises(InputError, match=r"nothing\.safetensors: cannot be read"):
        graph.sampler("corrupt", pools=tmp_path / "nothing.safetensors")


def drop_tensor(key: str):
    def change(tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
        del tensors[key]

    return change


def forget_filtered(tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
    del metadata["filtered"]


def unknown_look_up(tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
    metadata["look_up"] = "by name"


@pytest.mark.parametrize(
    "change",
    [
        drop_tensor("exclusions.entries"),
        drop_tensor("pools.offsets"),
        drop_tensor("pools.index"),
        forget_filtered,
        unknown_look_up,
    ],
    ids=["entries", "offsets", "index", "filtered", "look_up"],
)
def test_a_file_that_lacks_something_is_named(change: Any, graph: Graph, tmp_path: Path):
    path = tmp_path / "pools.safetensors"
    store(path, graph, "corrupt")
    tensors, metadata = load_tensors(path)
    change(tensors, metadata)
    save_tensors(path, tensors, metadata)
    with pytest.raises(InputError, match=r"pools\.safetensors: .* missing or unknown; rebuild the pools"):
        load_stage(path, graph.triples, name="pool", filtered=True)


def test_pools_in_memory_of_another_graph_are_refused(graph: Graph):
    pools = graph_of({(0, 0, 1)}, num_entities=2, num_relations=1).sampler("corrupt").pools
    with pytest.raises(ValueError, match=r"the pools cover 2 entities and 1 relations, the triples 14 and 55: rebuild"):
        graph.sampler("corrupt", pools=pools)


def test_pools_of_the_original_serve_the_doubled_graph(graph: Graph, tmp_path: Path):
    path = tmp_path / "pools.safetensors"
    stage = store(path, graph, "relational")
    lines = torch.cat([graph.lines, graph.lines[:, [2, 1, 0]]])
    lines[:, 1] *= 2
    lines[len(graph.lines) :, 1] += 1
    sampler = SAMPLERS["relational"](
        mapped_triples=lines, num_entities=graph.num_entities, num_relations=2 * graph.num_relations, pools=path
    )
    assert sampler.triples.doubled
    assert same(sampler.stages[0], stage)
    assert isinstance(sampler.triples, TripleSet)


def put(key: str, at: int, value: int):
    def change(tensors: dict[str, Any]) -> None:
        tensors[key] = tensors[key].clone()
        tensors[key][at] = value

    return change


def cast(key: str, dtype: torch.dtype):
    def change(tensors: dict[str, Any]) -> None:
        tensors[key] = tensors[key].to(dtype)

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("corrupt", put("pools.members", 3, 14), "members are no entities"),
        ("corrupt", put("pools.members", 3, -1), "members are no entities"),
        ("corrupt", put("pools.members", 1, 0), "members do not ascend"),
        ("corrupt", put("pools.offsets", 0, 1), "offsets do not span the members"),
        ("corrupt", put("pools.offsets", 3, 2**62), "offsets descend"),
        ("corrupt", put("pools.offsets", -1, 10**6), "offsets do not span the members"),
        ("corrupt", cast("pools.offsets", torch.int32), "offsets are torch.int32"),
        ("corrupt", cast("pools.members", torch.int64), "members are torch.int64"),
        ("nearestneighbor", put("pools.index", 2, 10**6), "the index names spans that there are not"),
        ("adversarial", put("pools.keys", 2, 0), "keys do not ascend"),
        ("corrupt", put("exclusions.places", 5, 2**31 - 1), "places lie outside the entries"),
        ("corrupt", put("exclusions.places", 5, -1), "places lie outside the entries"),
        ("corrupt", put("exclusions.entries", 0, 10**6), "lists are of other spans"),
        ("corrupt", put("exclusions.entries", 1, -1), "counts are off"),
        ("corrupt", put("exclusions.entries", 2, 0), "lists do not end where others begin"),
        ("corrupt", put("exclusions.entries", 3, 10**6), "guides lead out of a list"),
        ("corrupt", put("exclusions.entries", 4, -1), "ranks are out of order"),
        ("corrupt", put("exclusions.entries", -1, 5), "a list is not closed"),
    ],
)
def test_pools_that_would_lead_a_draw_astray_are_refused(
    name: str, change: Any, message: str, graph: Graph, tmp_path: Path
):
    path = tmp_path / "pools.safetensors"
    store(path, graph, name)
    tensors, metadata = load_tensors(path)
    change(tensors)
    save_tensors(path, tensors, metadata)
    with pytest.raises(InputError, match=rf"pools\.safetensors: no pools .*{message}.*; rebuild the pools"):
        load_stage(path, graph.triples, name="pool", filtered=True)
