"""Write trials as Optuna's studies."""

from negsamp.hpo import write_studies
from negsamp.io import job_log, read_jsonl

with job_log(snakemake.log[0]):
    trials = [record for path in snakemake.input.trials for record in read_jsonl(path)]
    write_studies(snakemake.output.journal, trials, snakemake.params.space)
