"""Build the pools of one sampler, store them, and count what every query may draw from."""

from pathlib import Path

import torch

from negsamp.datasets import SchemaDataset
from negsamp.io import job_log, write_json
from negsamp.pools import pool_statistics, save_stage
from negsamp.sampling import make_sampler

with job_log(snakemake):
    torch.set_num_threads(snakemake.params.threads)
    dataset = SchemaDataset.load(Path(snakemake.input.dataset[0]).parent)
    options = snakemake.params.options
    sampler = make_sampler(
        snakemake.wildcards.sampler, dataset, auxiliary=snakemake.input.get("auxiliary") or None, **options
    )
    save_stage(snakemake.output.pools, sampler.stages[0], sampler.triples, filtered=options["filtered"])
    statistics = pool_statistics(sampler.filtered_stage(), sampler.triples)
    record = {"dataset": dataset.name, "sampler": snakemake.wildcards.sampler, "archive": dataset.archive}
    write_json(snakemake.output.statistics, {**record, "options": options, "inferred": sampler.inferred, **statistics})
