"""How many of the drawn negatives are true: training triples, and triples held out for validation and testing.

Each distinct training triple is given once as a positive, in batches of shuffled order, to PyKEEN's samplers as they
are and to ours, filtered and unfiltered, without a fallback. Writes ``false-negatives.csv`` (exact counts) and
``false-negatives.md`` (the tables of docs/false-negatives.md)::

    NEGSAMP_MIRROR=path/to/archives python benchmarks/false_negatives.py
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from pykeen.sampling import NegativeSampler, negative_sampler_resolver
from pykeen.typing import BoolTensor, LongTensor

from negsamp.auxiliary import train_auxiliary
from negsamp.datasets import SchemaDataset, load_dataset
from negsamp.io import atomic_path, digest
from negsamp.models import load_model, save_model
from negsamp.sampling import SAMPLERS, make_sampler, serves

DATASETS = ("nations", "umls", "codex-s", "yago14k", "db50k-public", "wn18", "fb15k-237", "fb15k-public")
PYKEENS = ("basic", "bernoulli", "pseudotyped")
#: those that draw from pools found before a training, from the graph, its schema or an auxiliary model
OURS = tuple(name for name, cls in SAMPLERS.items() if cls.needs not in ("training", "negatives"))

#: a small model, quickly trained: it decides which false triples are near misses, not whether true ones come out
AUXILIARY: dict[str, Any] = {
    "model": "DistMult",
    "model_kwargs": {"embedding_dim": 64},
    "training_loop": "slcwa",
    "loss": "softplus",
    "epochs": 20,
    "batch_size": 1000,
    "learning_rate": 1e-2,
    "max_evaluation_triples": 1000,
}


@dataclass(frozen=True)
class Truth:
    """What is true of a graph, as sorted keys."""

    num_entities: int
    num_relations: int
    training: np.ndarray
    #: validation triples that training does not hold
    validation: np.ndarray
    #: test triples that neither holds
    testing: np.ndarray

    @classmethod
    def of(cls, dataset: SchemaDataset) -> "Truth":
        """Sort out the triples of a data set."""
        sizes = (dataset.num_entities, dataset.num_relations)
        truth = cls(*sizes, *[np.empty(0, dtype=np.int64)] * 3)
        splits = (dataset.training, dataset.validation, dataset.testing)
        training, validation, testing = (np.unique(truth.keys(split.mapped_triples)) for split in splits)
        validation = np.setdiff1d(validation, training)
        return cls(*sizes, training, validation, np.setdiff1d(testing, np.concatenate([training, validation])))

    def keys(self, triples: LongTensor) -> np.ndarray:
        """Give each triple one integer; shape: (num_triples, 3) → (num_triples,)."""
        heads, relations, tails = triples.numpy().T
        return (heads * self.num_relations + relations) * self.num_entities + tails


def is_among(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Tell which wanted keys are among sorted ones, by bisection."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=bool)
    return keys[np.searchsorted(keys, wanted).clip(max=len(keys) - 1)] == wanted


def batches(dataset: SchemaDataset, batch_size: int, seed: int) -> Iterator[LongTensor]:
    """Give each training triple once, in an order that depends on the seed alone."""
    triples = dataset.training.mapped_triples
    order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(seed))
    yield from triples[order].split(batch_size)


def count(sampler: NegativeSampler, dataset: SchemaDataset, truth: Truth, batch_size: int, seed: int) -> dict[str, int]:
    """Draw for all training triples, and count what the valid negatives are."""
    torch.manual_seed(seed)
    counts = dict.fromkeys(("slots", "negatives", "training", "positive_itself", "validation", "testing"), 0)
    for positives in batches(dataset, batch_size, seed):
        drawn, mask = sampler.sample(positives)
        valid: BoolTensor = torch.ones(drawn.shape[:-1], dtype=torch.bool) if mask is None else mask
        negatives = drawn[valid]
        keys = truth.keys(negatives)
        own = truth.keys(positives.unsqueeze(dim=1).expand_as(drawn)[valid])
        counts["slots"] += valid.numel()
        counts["negatives"] += len(negatives)
        counts["positive_itself"] += int((keys == own).sum())
        for split in ("training", "validation", "testing"):
            counts[split] += int(is_among(getattr(truth, split), keys).sum())
    return counts


def obtain_auxiliary(dataset: SchemaDataset, folder: Path) -> tuple[Path, float]:
    """Train the auxiliary model, unless the folder holds it already.

    :returns: the file, and the model's MRR on a sample of the validation triples
    """
    path = folder / f"{dataset.name}-{digest(AUXILIARY)}.safetensors"
    if not path.is_file():
        model, record = train_auxiliary(dataset.training, dataset.validation, device="cpu", **AUXILIARY)
        save_model(path, model, record)
    _, record = load_model(path)
    return path, record["validation"]["inverse_harmonic_mean_rank"]


def samplers_of(
    dataset: SchemaDataset, auxiliary: Path, num_negs_per_pos: int
) -> Iterator[tuple[str, bool, NegativeSampler]]:
    """Make the samplers that a data set can serve, one at a time.

    :yields: the name, whether it is filtered, and the sampler
    """
    for name in PYKEENS:
        sampler = negative_sampler_resolver.make(
            name,
            mapped_triples=dataset.training.mapped_triples,
            num_entities=dataset.num_entities,
            num_relations=dataset.num_relations,
            num_negs_per_pos=num_negs_per_pos,
        )
        yield name, False, sampler
    for name in OURS:
        if serves(name, dataset):
            options = {"num_negs_per_pos": num_negs_per_pos, "auxiliary": auxiliary}
            sampler = make_sampler(name, dataset, **options)
            yield name, True, sampler
            pools = sampler.pools
            del sampler  # its exclusions can be large
            yield name, False, make_sampler(name, dataset, pools=pools, filtered=False, **options)


def measure(
    dataset: SchemaDataset, models: Path, num_negs_per_pos: int, batch_size: int, seed: int
) -> list[dict[str, Any]]:
    """Count for all samplers of a data set.

    :returns: one row a sampler and setting
    """
    truth = Truth.of(dataset)
    auxiliary, mrr = obtain_auxiliary(dataset, models)
    rows = []
    for name, filtered, sampler in samplers_of(dataset, auxiliary, num_negs_per_pos):
        start = time.perf_counter()
        counts = count(sampler, dataset, truth, batch_size, seed)
        click.echo(f"{dataset.name} {name} filtered={filtered}: {counts}, {time.perf_counter() - start:.1f} s")
        rows.append(
            {
                "dataset": dataset.name,
                "sampler": name,
                "filtered": filtered,
                "by": "PyKEEN" if name in PYKEENS else "negsamp",
                **counts,
                "training_triples": len(truth.training),
                "held_out_triples": len(truth.validation) + len(truth.testing),
                "auxiliary_mrr": round(mrr, 4),
            }
        )
    return rows


def percent(part: int, whole: int) -> str:
    """Write a share such that nothing but zero looks like zero."""
    if not part:
        return "0"
    return "< 0.01%" if part / whole < 1e-4 else f"{part / whole:.2%}"


def share_table(frame: pd.DataFrame, part: str, whole: str, datasets: Sequence[str]) -> str:
    """Lay out shares, one row a sampler and setting, one column a data set."""
    cells = frame.assign(share=[percent(*row) for row in frame[[part, whole]].itertuples(index=False)])
    cells["sampler"] = cells["sampler"] + np.where(cells["filtered"] | (cells["by"] == "PyKEEN"), "", ", unfiltered")
    cells["sampler"] += np.where(cells["by"] == "PyKEEN", " (PyKEEN)", "")
    table = cells.pivot(index="sampler", columns="dataset", values="share")
    table = table.loc[row_order(cells["sampler"]), list(datasets)].fillna("–")
    return table.rename_axis(columns=None).to_markdown(colalign=("left", *["right"] * len(datasets)))


def row_order(labels: pd.Series) -> list[str]:
    """Put PyKEEN's samplers first, then ours, unfiltered and filtered ones in blocks."""
    distinct = list(dict.fromkeys(labels))
    groups = [
        [label for label in distinct if label.endswith("(PyKEEN)")],
        [label for label in distinct if label.endswith("unfiltered")],
        [label for label in distinct if not label.endswith(("(PyKEEN)", "unfiltered"))],
    ]
    return [label for group in groups for label in sorted(group, key=_position)]


def _position(label: str) -> int:
    return (*PYKEENS, *OURS).index(label.partition(",")[0].partition(" ")[0])


def graph_table(frame: pd.DataFrame) -> str:
    """Say what was drawn from: triples, slots a sampler, and how good the auxiliary model was."""
    rows = frame.drop_duplicates("dataset")
    shown = pd.DataFrame(
        {
            "data set": rows["dataset"],
            "training triples": rows["training_triples"].map("{:,}".format),
            "held-out triples": rows["held_out_triples"].map("{:,}".format),
            "slots a sampler": rows["slots"].map("{:,}".format),
            "MRR of the auxiliary model": rows["auxiliary_mrr"].map("{:.3f}".format),
        }
    )
    return shown.to_markdown(index=False, disable_numparse=True, colalign=("left", *["right"] * 4))


def tables(frame: pd.DataFrame) -> str:
    """Write all tables in Markdown, each under a line that says what it shows."""
    datasets = list(dict.fromkeys(frame["dataset"]))
    frame = frame.assign(held_out=frame["validation"] + frame["testing"], masked=frame["slots"] - frame["negatives"])
    parts = [
        ("The graphs. Held out are validation and test triples that training does not hold.", graph_table(frame)),
        (
            "Share of the valid negatives that are training triples.",
            share_table(frame, "training", "negatives", datasets),
        ),
        (
            "Share of the valid negatives that are validation or test triples.",
            share_table(frame, "held_out", "negatives", datasets),
        ),
        (
            "Share of the slots that are masked: filtered, and without a fallback, the pool holds nothing.",
            share_table(frame.query("filtered"), "masked", "slots", datasets),
        ),
    ]
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in parts) + "\n"


def write(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write the counts and the tables."""
    frame = pd.DataFrame(rows)
    with atomic_path(folder / "false-negatives.csv") as path:
        frame.to_csv(path, index=False)
    with atomic_path(folder / "false-negatives.md") as path:
        path.write_text(tables(frame), encoding="utf-8")


@click.command()
@click.option("--dataset", "names", multiple=True, default=DATASETS, show_default=True, help="May be repeated.")
@click.option("-n", "--num-negs-per-pos", default=10, show_default=True, help="Negatives of each positive.")
@click.option("--batch-size", default=1000, show_default=True, help="Positives a batch.")
@click.option("--seed", default=0, show_default=True, help="Of the order of the positives, and of the draws.")
@click.option("--threads", default=1, show_default=True, help="Torch threads.")
@click.option("--mirror", type=click.Path(file_okay=False), envvar="NEGSAMP_MIRROR", help="Folder of archives.")
@click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    default="build/auxiliary",
    show_default=True,
    help="Folder that auxiliary models are kept in.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="docs/results",
    show_default=True,
    help="Folder to write to.",
)
def main(
    names: tuple[str, ...],
    num_negs_per_pos: int,
    batch_size: int,
    seed: int,
    threads: int,
    mirror: str | None,
    models: Path,
    output: Path,
) -> None:
    """Count false negatives among what samplers draw."""
    torch.set_num_threads(threads)
    rows: list[dict[str, Any]] = []
    for name in names:
        rows += measure(load_dataset(name, mirror=mirror), models, num_negs_per_pos, batch_size, seed)
        write(rows, output)


if __name__ == "__main__":
    main()
