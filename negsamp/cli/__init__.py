"""The command line: each command calls the function that the workflow's script calls."""

import logging
from typing import Any

import click

from negsamp.cli.experiments import bench, claims, plan
from negsamp.cli.graphs import advise_command, datasets, describe, pools, sample
from negsamp.cli.training import train
from negsamp.errors import InputError

__all__ = ["main"]


class _Group(click.Group):
    """Commands whose bad input ends in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="negsamp")
def main() -> None:
    """Look at data sets, at the negatives that samplers find in them, and at what comes of training with each."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # what it tells of devices and defaults at each model is no news here
    logging.getLogger("pykeen").setLevel(logging.ERROR)


for _command in (datasets, describe, pools, sample, advise_command, train, bench, plan, claims):
    main.add_command(_command)
