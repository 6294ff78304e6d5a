"""Named targets that print a verdict: the paper's first experiments, and the checks that its readers ask for.

Reads   resources/datasets/, results/{name}/pools/, results/{name}/auxiliary/, results/{name}/final/
Writes  results/{name}/checks/, results/{name}/tables/checks.*, results/{name}/tables/first_experiments.*
"""


rule check_dataset:
    """Draw without and with a fallback, train with both, and compare what the auxiliary model was trained on."""
    input:
        dataset=rules.prepare_dataset.output,
        pools=lambda wildcards: fill(rules.build_pools.output.pools, pool_rows(wildcards.dataset)),
        auxiliary=lambda wildcards: auxiliary_files("model", wildcards.dataset),
    output:
        verdicts=f"{RESULTS}/checks/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/check_dataset/{{dataset}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(12 * 60),
        gpu=GPU,
    params:
        samplers=lambda wildcards: [row["sampler"] for row in pool_rows(wildcards.dataset)],
        # the pools that are empty most often
        toggled=lambda wildcards: [s for s in ("relational", "typed") if s in applicable_samplers(wildcards.dataset)],
        model=config["models"][0],
        negatives=max(config["negatives"]),
        space=config["hpo"]["space"],
        seed=config["hpo"]["seed"],
        options=lambda wildcards: training_options(wildcards, sampler="relational"),
        threads=config["compute"]["torch_threads"],
        code=CODE["check_dataset"],
    script:
        "../workflow_scripts/check_dataset.py"


rule checks:
    """Print what happens with no pool, with and without a fallback, and what the auxiliary model has seen."""
    input:
        f"{RESULTS}/tables/checks.md",
    log:
        f"{RESULTS}/logs/checks.log",
    localrule: True
    conda:
        "../envs/negsamp.yaml"
    shell:
        "tee {log} < {input}; ! grep -q '| fails ' {input}"


rule first_experiments:
    """Print whether typed pools are small, corrupt beats basic, and a pretrained model's near misses beat random."""
    input:
        f"{RESULTS}/tables/first_experiments.md",
    log:
        f"{RESULTS}/logs/first_experiments.log",
    localrule: True
    conda:
        "../envs/negsamp.yaml"
    shell:
        "tee {log} < {input}"
