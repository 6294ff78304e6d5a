"""Run the checks of a data set."""

from pathlib import Path

from negsamp.checks import check_auxiliary, check_empty_pools, check_fallback
from negsamp.datasets import SchemaDataset
from negsamp.gpu import own_gpu
from negsamp.hpo import Options, Study, suggest, trial_seed
from negsamp.io import job_log, write_json

with job_log(snakemake), own_gpu(snakemake.resources.gpu):
    params, pools = snakemake.params, dict(zip(snakemake.params.samplers, snakemake.input.pools, strict=True))
    dataset = SchemaDataset.load(Path(snakemake.input.dataset[0]).parent)
    rows = [
        check_empty_pools(
            dataset, name, path, negatives=params.negatives, filtered=params.options["sampling"]["filtered"]
        )
        for name, path in pools.items()
    ]
    for name in params.toggled:
        study = Study(dataset.name, params.model, name, params.negatives)
        rows.append(
            check_fallback(
                dataset,
                study,
                suggest(params.space, params.seed, dataset.name, params.model, 0),
                options=Options(**params.options),
                pools=pools[name],
                random_seed=trial_seed(params.seed, dataset.name, params.model, 0),
                threads=params.threads,
            )
        )
    rows += [check_auxiliary(dataset, path) for path in snakemake.input.auxiliary]
    write_json(snakemake.output.verdicts, rows)
