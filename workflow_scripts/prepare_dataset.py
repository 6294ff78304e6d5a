"""Read a data set from wherever it comes, and store it."""

from pathlib import Path

from negsamp.datasets import archive_dataset, load_dataset, read_registry
from negsamp.io import job_log

with job_log(snakemake):
    name, options = snakemake.wildcards.dataset, snakemake.params.options
    if "archive" in options.get("entry", {}):
        dataset = archive_dataset(read_registry()[name], Path(snakemake.input.source))
    else:
        dataset = load_dataset(options.get("folder", name), synthetic=options.get("synthetic"), name=name)
    dataset.save(Path(snakemake.output.report).parent)
