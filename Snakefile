"""From a downloaded graph to the paper's tables: data, auxiliary model, pools, trials, retraining, tables, figures."""

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/auxiliary.smk"
include: "rules/pools.smk"
include: "rules/hpo.smk"
include: "rules/tables.smk"
include: "rules/verdicts.smk"
include: "rules/open_questions.smk"


wildcard_constraints:
    dataset="|".join(DATASETS),
    model="|".join(config["models"]),
    sampler="|".join([*config["samplers"], *ASKED["random_integration"]["samplers"], *reference_loop()]),
    negatives=r"\d+",
    chunk=r"\d+",
    seed=r"\d+",
    auxiliary=r"\w+",
    fallback=r"\w+",
    # base, or a property and its value: no dots that lead upwards
    point=r"\w+(/[\w+-][\w.+-]*)?",


onstart:
    refuse_unknown_results()


onsuccess:
    tell_where_results_are()


rule all:
    """Make every table and figure (the default target)."""
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.make_index.output,
