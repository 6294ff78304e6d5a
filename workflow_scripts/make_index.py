"""Lay out the page of all tables and figures."""

from negsamp.io import atomic_path, job_log
from negsamp.results.page import index_page

with job_log(snakemake):
    files, params = snakemake.input, snakemake.params
    page = index_page(
        files.tables, files.statistics, title=params.title, chapters=params.chapters, samplers=params.samplers
    )
    with atomic_path(snakemake.output[0]) as path:
        path.write_text(page, encoding="utf-8")
