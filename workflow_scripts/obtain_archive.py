"""Fetch a registered archive; the mirror of the environment serves where the config names none."""

import os
from pathlib import Path

from negsamp.datasets import obtain_archive, read_registry
from negsamp.io import job_log

with job_log(snakemake.log[0]):
    mirror = snakemake.params.mirror or os.environ.get("NEGSAMP_MIRROR")
    entry = read_registry()[snakemake.wildcards.dataset]
    obtain_archive(entry, Path(snakemake.output.archive), Path(mirror) if mirror else None)
