"""Options that several commands take, and what they mean for samplers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from negsamp.errors import InputError

if TYPE_CHECKING:
    from pykeen.models import ERModel

    from negsamp.datasets import SchemaDataset
    from negsamp.sampling import PoolNegativeSampler
    from negsamp.sampling.fallback import Fallback

__all__ = [
    "auxiliary_option",
    "dataset_argument",
    "fallback_option",
    "infer_schema_option",
    "json_option",
    "mirror_option",
    "num_neighbors_option",
    "sampler_of",
    "sampler_option",
]


def _names_of_datasets(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from negsamp.datasets import read_registry

    return [name for name in read_registry() if name.startswith(incomplete.lower())]


def _names_of_samplers(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from pykeen.sampling import negative_sampler_resolver

    return [name for name in sorted(negative_sampler_resolver.options) if name.startswith(incomplete.lower())]


dataset_argument = functools.partial(click.argument, shell_complete=_names_of_datasets)
sampler_option = functools.partial(click.option, "--sampler", shell_complete=_names_of_samplers)
mirror_option = click.option(
    "--mirror",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="NEGSAMP_MIRROR",
    help="Folder of archives that is looked in before their addresses [NEGSAMP_MIRROR].",
)
infer_schema_option = click.option(
    "--infer-schema",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Infer missing domains and ranges: classes that cover this share of the heads or tails.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
auxiliary_option = click.option(
    "--auxiliary", type=click.Path(dir_okay=False, path_type=Path), help="A saved auxiliary model."
)
num_neighbors_option = click.option(
    "-k",
    "--num-neighbors",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Pool size of near misses.",
)


def sampler_of(
    name: str,
    dataset: SchemaDataset,
    *,
    auxiliary: Path | None,
    train: Callable[[], tuple[ERModel, dict[str, Any]]] | None = None,
    **options: Any,
) -> PoolNegativeSampler:
    """Make a sampler as a command asks for it, see :func:`negsamp.make_sampler`.

    :param name: a sampler by name, whose pools are there before a training
    :param dataset: the data set, of which training triples alone are looked at
    :param auxiliary: the saved auxiliary model that was given
    :param train: trains an auxiliary model, for a sampler that needs one where none was given, see
        :func:`negsamp.auxiliary.train_auxiliary`; None: it cannot be had then
    :param options: its options

    :raises InputError: if there is no such sampler, or it cannot be had for the data set or by these options
    """
    from negsamp.sampling import SAMPLERS, make_sampler

    need = SAMPLERS[name].needs if name in SAMPLERS else None
    if need == "training":
        raise InputError(f"{name} has no pools before a training")
    model: Path | ERModel | None = auxiliary
    if train is not None and model is None and need == "auxiliary":
        model, record = train()
        epochs = record["training"]["epochs"]
        click.echo(f"no --auxiliary: {record['model']} was trained for {epochs} epochs in its place", err=True)
    try:
        return make_sampler(name, dataset, auxiliary=model, **options)
    except ValueError as error:
        # an option that is no plain mistake of the command line's own
        raise InputError(str(error)) from error


def _fallback(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> Fallback:
    """Take one name for itself where it stands for several pools."""
    if names in (("random",), ("semantic",)):
        return names[0]
    return names or None


fallback_option = click.option(
    "--fallback",
    multiple=True,
    callback=_fallback,
    help="random, semantic, or a pool by name; may be repeated [default: none].",
)
