"""Fetch a registered archive."""

from pathlib import Path

from negsamp.datasets import default_mirror, obtain_archive, read_registry
from negsamp.io import job_log

with job_log(snakemake):
    entry = read_registry()[snakemake.wildcards.dataset]
    obtain_archive(entry, Path(snakemake.output.archive), default_mirror())
