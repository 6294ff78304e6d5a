"""Stage 4, search: the trials of a study in chunks, then the best setting trained again with each seed.

Reads   resources/datasets/{dataset}/, results/{name}/pools/{dataset}/
Writes  results/{name}/hpo/{dataset}/{model}/{sampler}/{negatives}/,
        results/{name}/final/{dataset}/{model}/{sampler}/{negatives}/, results/{name}/optuna/
"""


rule run_trials:
    """Train some trials of a study, and judge them on validation triples."""
    input:
        dataset=rules.prepare_dataset.output,
        pools=pools_if_any,
    output:
        trials=f"{RESULTS}/hpo/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/trials-{{chunk}}.jsonl",
        timing=f"{RESULTS}/hpo/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/trials-{{chunk}}.timing.json",
    log:
        f"{RESULTS}/logs/run_trials/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/{{chunk}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(12 * 60),
        gpu=GPU,
        # counted by negsamp plan
        trainings=lambda wildcards: len(trials_of_chunk(wildcards)),
    params:
        trials=trials_of_chunk,
        search={name: config["hpo"][name] for name in ("sampler", "pruner", "space", "seed", "timeout")},
        options=training_options,
        threads=config["compute"]["torch_threads"],
        code=CODE["run_trials"],
    script:
        "../workflow_scripts/run_trials.py"


rule retrain:
    """Choose a study's setting on validation, train it with a seed, and rank the test triples."""
    input:
        dataset=rules.prepare_dataset.output,
        pools=pools_if_any,
        trials=expand(rules.run_trials.output.trials, chunk=chunks(), allow_missing=True),
    output:
        record=f"{RESULTS}/final/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/seed-{{seed}}.json",
        ranks=f"{RESULTS}/final/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/seed-{{seed}}.ranks.csv.gz",
        timing=f"{RESULTS}/final/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/seed-{{seed}}.timing.json",
    log:
        f"{RESULTS}/logs/retrain/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/seed-{{seed}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(12 * 60),
        gpu=GPU,
        trainings=1,
    params:
        options=training_options,
        # a limit of seconds may end a search before all are run
        planned=config["hpo"]["trials"] if config["hpo"]["timeout"] is None else None,
        threads=config["compute"]["torch_threads"],
        code=CODE["retrain"],
    script:
        "../workflow_scripts/retrain.py"


rule export_studies:
    """Write the trials of a data set as Optuna's studies, for its dashboard and its plots."""
    input:
        trials=lambda wildcards: fill(rules.run_trials.output.trials, studies(wildcards.dataset), chunk=chunks()),
    output:
        journal=f"{RESULTS}/optuna/{{dataset}}.journal",
    log:
        f"{RESULTS}/logs/export_studies/{{dataset}}.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        space=config["hpo"]["space"],
        code=CODE["export_studies"],
    script:
        "../workflow_scripts/export_studies.py"


rule searches:
    """Run all trials and retrainings."""
    input:
        expand(rules.export_studies.output, dataset=DATASETS),
        fill(rules.run_trials.output, studies(), chunk=chunks()),
        fill(rules.retrain.output, studies(), seed=config["seeds"]),
