"""Collect what samplers gained on generated graphs."""

from negsamp.io import atomic_path, job_log
from negsamp.results.questions import collect_evidence

with job_log(snakemake):
    evidence = collect_evidence(snakemake.input.records, sweeps=snakemake.params.sweeps)
    with atomic_path(snakemake.output.evidence) as path:
        evidence.to_csv(path, index=False, float_format="%.6g")
