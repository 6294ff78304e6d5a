"""The command that trains one model with one sampler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from negsamp.cli.options import (
    auxiliary_option,
    dataset_argument,
    fallback_option,
    infer_schema_option,
    json_option,
    mirror_option,
    num_neighbors_option,
    sampler_of,
    sampler_option,
)
from negsamp.errors import InputError

if TYPE_CHECKING:
    from pykeen.models import ERModel

    from negsamp.datasets import SchemaDataset
    from negsamp.hpo import Outcome, Training
    from negsamp.pools import Pools
    from negsamp.sampling.fallback import Fallback

__all__ = ["train"]

#: the paper's; a config takes no others either
MODELS = (
    *("TransE", "TransH", "TransR", "TransD", "DistMult", "RESCAL"),
    *("RotatE", "HolE", "ComplEx", "SimplE", "QuatE", "BoxE"),
)

_positive = click.IntRange(min=1)


@click.command()
@dataset_argument("dataset")
@click.option(
    "--model", type=click.Choice(MODELS, case_sensitive=False), default="TransE", show_default=True, help="PyKEEN's."
)
@sampler_option(
    default="basic",
    show_default=True,
    help="A sampler by name, ours or PyKEEN's; lcwa or symmetriclcwa: train without sampled negatives.",
)
@click.option("-n", "--num-negatives", type=_positive, default=10, show_default=True, help="For each triple.")
@fallback_option
@click.option("--unfiltered", is_flag=True, help="Exclude the replaced entity alone, not all known positives.")
@auxiliary_option
@num_neighbors_option
@infer_schema_option
@click.option("--epochs", type=_positive, default=100, show_default=True, help="At most, with --patience.")
@click.option("--patience", type=_positive, help="Stop after so many looks, every 10 epochs, without a better MRR.")
@click.option("--batch-size", type=_positive, default=1000, show_default=True, help="Positives a batch.")
@click.option("--embedding-dim", type=_positive, default=100, show_default=True, help="Of entities.")
@click.option("--loss", default="marginranking", show_default=True, help="A PyKEEN loss by name.")
@click.option("--margin", type=click.FloatRange(min=0), default=5.0, show_default=True, help="Of a loss that has one.")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), default=1e-2, show_default=True, help="Adam's."
)
@click.option("--l2-weight", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Of regularization.")
@click.option("--testing", is_flag=True, help="Rank test triples, not validation triples.")
@click.option("--seed", default=0, show_default=True, help="Fixes the result.")
@click.option("--device", help="Such as cpu or cuda:1 [default: the first GPU, if there is one].")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for model, ranks, record and timing."
)
@mirror_option
@json_option
def train(
    dataset: str,
    model: str,
    sampler: str,
    num_negatives: int,
    epochs: int,
    patience: int | None,
    batch_size: int,
    embedding_dim: int,
    loss: str,
    margin: float,
    learning_rate: float,
    l2_weight: float,
    testing: bool,
    seed: int,
    device: str | None,
    output: Path | None,
    mirror: Path | None,
    as_json: bool,
    **sampling: Any,
) -> None:
    """Train a model on DATASET with a sampler, and rank validation triples.

    DATASET is a name, or a folder given with a slash. The model in the output can be the --auxiliary of a sampler.
    Settings are searched for, and methods compared, by the workflow.

    Example: negsamp train nations --sampler relational -n 10 --fallback random --epochs 50
    """
    from negsamp.datasets import load_dataset
    from negsamp.hpo import LOOPS, Options, Study, Training

    if output is not None and (output / "record.json").exists():
        raise InputError(f"{output}: holds the record of a training; give another --output, or delete it")
    loaded = load_dataset(dataset, mirror=mirror)
    sampler = _named(sampler)
    pools, drawing = _pools(sampler, loaded, device=device, seed=seed, **sampling)
    training = Training(
        loaded,
        Study(loaded.name, model, sampler, 0 if sampler in LOOPS else num_negatives),
        parameters={"margin": margin, "learning_rate": learning_rate, "l2_weight": l2_weight},
        random_seed=seed,
        options=Options(
            epochs=epochs,
            batch_size=batch_size,
            embedding_dim=embedding_dim,
            loss=loss,
            early_stopping=None if patience is None else {"frequency": 10, "patience": patience},
            device=device,
            sampling=drawing,
        ),
        pools=pools,
        split="testing" if testing else "validation",
        model_path=None if output is None else output / "model.safetensors",
    )
    outcome = training.run()
    if outcome.ranks is None:
        raise InputError(f"the training failed: {outcome.record['reason']}")
    if output is not None:
        _write(output, training, outcome)
    click.echo(json.dumps(outcome.record, indent=2) if as_json else _told(training, outcome))


def _named(sampler: str) -> str:
    """Return the name that a sampler's class, or a training loop, goes by.

    :raises InputError: if there is none
    """
    from pykeen.sampling import negative_sampler_resolver

    from negsamp.hpo import LOOPS

    if sampler.lower() in LOOPS:
        return sampler.lower()
    try:
        return negative_sampler_resolver.normalize_cls(negative_sampler_resolver.lookup(sampler))
    except KeyError as error:
        known = ", ".join(sorted({*negative_sampler_resolver.options, *LOOPS}))
        raise InputError(f"unknown sampler {sampler!r}: known are {known}") from error


def _pools(
    sampler: str,
    dataset: SchemaDataset,
    *,
    fallback: Fallback,
    unfiltered: bool,
    auxiliary: Path | None,
    num_neighbors: int,
    infer_schema: float | None,
    device: str | None,
    seed: int,
) -> tuple[Pools | None, dict[str, Any]]:
    """Find the pools of a sampler.

    :returns: the pools, None where there are none before a training; and the options of the draw
    """
    import inspect

    from negsamp.auxiliary import train_auxiliary
    from negsamp.sampling import SAMPLERS

    if sampler not in SAMPLERS:
        return None, {}
    cls = SAMPLERS[sampler]
    asked = {"filtered": not unfiltered, "fallback": fallback, "num_neighbors": num_neighbors}
    options: dict[str, Any] = {
        name: value for name, value in asked.items() if name in inspect.signature(cls).parameters
    }
    if infer_schema is not None:
        options["infer_schema"] = infer_schema
    if cls.needs == "training":
        return None, options

    def trained() -> tuple[ERModel, dict[str, Any]]:
        return train_auxiliary(dataset.training, dataset.validation, device=device, random_seed=seed)

    return sampler_of(sampler, dataset, auxiliary=auxiliary, train=trained, **options).pools, options


def _write(folder: Path, training: Training, outcome: Outcome) -> None:
    """Write what came of a training; the record last, since it says that all is there."""
    from negsamp.io import write_json
    from negsamp.ranks import write_ranks

    ranked = training.dataset.testing if training.split == "testing" else training.dataset.validation
    write_ranks(folder / "ranks.csv.gz", ranked, None, outcome.ranks)
    write_json(folder / "timing.json", outcome.cost)
    write_json(folder / "record.json", outcome.record)


def _told(training: Training, outcome: Outcome) -> str:
    """Lay out what came of a training that is complete."""
    from negsamp.results.tables import RANKING

    record, cost = outcome.record, outcome.cost
    rows = [[label, f"{record['metrics'][name]:.4f}"] for name, label in RANKING.items()]
    low, high = record["mrr_interval"]
    rows.insert(1, ["95 % interval", f"{low:.4f} to {high:.4f}"])
    rows += [[f"slots filled by {stage}", f"{count:,}"] for stage, count in (record["slots"] or {}).items() if count]
    rows.append(["training", f"{cost['training_s']:.1f} s"])
    if cost["sampling_s"] is not None:
        rows.append(["sampling of it", f"{cost['sampling_s']:.1f} s"])
    title = f"{record['dataset']}, {record['model']}, {record['sampler']}: {record['ranked_triples']:,}"
    return f"{title} {training.split} triples\n{tabulate(rows, disable_numparse=True, colalign=('left', 'right'))}"
