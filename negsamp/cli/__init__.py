"""The command line: each command calls the function that the workflow's script calls."""

from typing import Any

import click

from negsamp.cli.experiments import bench, claims, plan
from negsamp.cli.graphs import advise_command, datasets, describe, pools, sample
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
    """Look at data sets, at the negative pools that samplers find in them, and at what to expect of each."""


for _command in (datasets, describe, pools, sample, advise_command, bench, plan, claims):
    main.add_command(_command)
