"""Stage 4, search: the trials of a study in chunks, then the best setting trained again with each seed.

Reads   resources/datasets/{dataset}/, results/{name}/pools/{dataset}/
Writes  results/{name}/hpo/{dataset}/{model}/{sampler}/{negatives}/,
        results/{name}/final/{dataset}/{model}/{sampler}/{negatives}/
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
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime="12h",
    params:
        trials=trials_of_chunk,
        space=config["hpo"]["space"],
        seed=config["hpo"]["seed"],
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
        timing=f"{RESULTS}/final/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/seed-{{seed}}.timing.json",
    log:
        f"{RESULTS}/logs/retrain/{{dataset}}/{{model}}/{{sampler}}/{{negatives}}/seed-{{seed}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime="12h",
    params:
        options=training_options,
        threads=config["compute"]["torch_threads"],
        code=CODE["retrain"],
    script:
        "../workflow_scripts/retrain.py"


rule searches:
    """Run all trials and retrainings."""
    input:
        fill(rules.run_trials.output, studies(), chunk=chunks()),
        fill(rules.retrain.output, studies(), seed=config["seeds"]),
