"""Beyond the paper: its three open questions, each with trainings of its own, a table, a figure and a verdict.

Reads   resources/datasets/, results/{name}/pools/
Writes  results/{name}/open_questions/
"""


rule sweep_structure:
    """Train on generated graphs of one structure."""
    output:
        records=f"{RESULTS}/open_questions/graph_structure/{{point}}.jsonl",
    log:
        f"{RESULTS}/logs/sweep_structure/{{point}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(4000),
        runtime=growing(4 * 60),
        gpu=GPU,
    params:
        graph=sweep_graph,
        runs=lambda wildcards: question_runs(
            "graph_structure",
            ASKED["graph_structure"]["samplers"],
            "synthetic",
        ),
        auxiliary=auxiliary_options(),
        pools=question_pools("synthetic"),
        trained=CODE["retrain"],
        code=CODE["sweep_structure"],
    script:
        "../workflow_scripts/sweep_structure.py"


rule vary_auxiliary:
    """Train with the negatives of one kind of auxiliary model, from untrained to trained; or without one."""
    input:
        dataset=rules.prepare_dataset.output,
    output:
        records=f"{RESULTS}/open_questions/auxiliary_quality/{{dataset}}/{{auxiliary}}.jsonl",
    log:
        f"{RESULTS}/logs/vary_auxiliary/{{dataset}}/{{auxiliary}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(12 * 60),
        gpu=GPU,
    params:
        runs=lambda wildcards: question_runs(
            "auxiliary_quality",
            ASKED["auxiliary_quality"]["without" if wildcards.auxiliary == "none" else "samplers"],
            wildcards.dataset,
        ),
        auxiliary=lambda wildcards: None if wildcards.auxiliary == "none" else auxiliary_options(wildcards.auxiliary),
        epochs=ASKED["auxiliary_quality"]["epochs"],
        pools=lambda wildcards: question_pools(wildcards.dataset),
        trained=CODE["retrain"],
        code=CODE["vary_auxiliary"],
    script:
        "../workflow_scripts/vary_auxiliary.py"


rule vary_fallback:
    """Train with a sampler and one of its fallbacks."""
    input:
        dataset=rules.prepare_dataset.output,
        pools=rules.build_pools.output.pools,
    output:
        records=f"{RESULTS}/open_questions/random_integration/{{dataset}}/{{sampler}}/{{fallback}}.jsonl",
    log:
        f"{RESULTS}/logs/vary_fallback/{{dataset}}/{{sampler}}/{{fallback}}.log",
    conda:
        "../envs/negsamp.yaml"
    threads: config["compute"]["torch_threads"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(12 * 60),
        gpu=GPU,
    params:
        runs=lambda wildcards: question_runs("random_integration", [wildcards.sampler], wildcards.dataset),
        trained=CODE["retrain"],
        code=CODE["vary_fallback"],
    script:
        "../workflow_scripts/vary_fallback.py"


rule answer_question:
    """Write the table, the figure and the verdict of a question."""
    input:
        records=lambda wildcards: question_files(wildcards.question),
    output:
        csv=report(
            f"{RESULTS}/open_questions/{{question}}.csv",
            caption="report/table.rst",
            category="Open questions",
            labels={"question": "{question}", "type": "table"},
        ),
        tex=f"{RESULTS}/open_questions/{{question}}.tex",
        md=f"{RESULTS}/open_questions/{{question}}.md",
        png=report(
            f"{RESULTS}/open_questions/{{question}}.png",
            caption="report/figure.rst",
            category="Open questions",
            labels={"question": "{question}", "type": "figure"},
        ),
        pdf=f"{RESULTS}/open_questions/{{question}}.pdf",
        verdict=f"{RESULTS}/open_questions/{{question}}.verdict.md",
    log:
        f"{RESULTS}/logs/answer_question/{{question}}.log",
    wildcard_constraints:
        question="|".join(QUESTIONS),
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        question=lambda wildcards: wildcards.question,
        options=lambda wildcards: {"sweeps": sweep_files()} if wildcards.question == "graph_structure" else {},
        code=CODE["answer_question"],
    script:
        "../workflow_scripts/answer_question.py"


rule collect_evidence:
    """Collect what samplers gained on all graphs: what `negsamp advise` predicts gains from."""
    input:
        records=question_files("graph_structure"),
    output:
        evidence=f"{RESULTS}/open_questions/evidence.csv",
    log:
        f"{RESULTS}/logs/collect_evidence.log",
    conda:
        "../envs/negsamp.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        sweeps=sweep_files(),
        code=CODE["collect_evidence"],
    script:
        "../workflow_scripts/collect_evidence.py"


rule graph_structure:
    """Print how the structure of a graph decides which sampler works, and collect the evidence for advice."""
    input:
        rules.collect_evidence.output,
        expand(rules.answer_question.output, question="graph_structure"),
        verdict=f"{RESULTS}/open_questions/graph_structure.verdict.md",
    log:
        f"{RESULTS}/logs/graph_structure.log",
    localrule: True
    conda:
        "../envs/negsamp.yaml"
    shell:
        "tee {log} < {input.verdict}"


rule auxiliary_quality:
    """Print how much the auxiliary model's quality matters."""
    input:
        expand(rules.answer_question.output, question="auxiliary_quality"),
        verdict=f"{RESULTS}/open_questions/auxiliary_quality.verdict.md",
    log:
        f"{RESULTS}/logs/auxiliary_quality.log",
    localrule: True
    conda:
        "../envs/negsamp.yaml"
    shell:
        "tee {log} < {input.verdict}"


rule random_integration:
    """Print whether the random integration can be replaced."""
    input:
        expand(rules.answer_question.output, question="random_integration"),
        verdict=f"{RESULTS}/open_questions/random_integration.verdict.md",
    log:
        f"{RESULTS}/logs/random_integration.log",
    localrule: True
    conda:
        "../envs/negsamp.yaml"
    shell:
        "tee {log} < {input.verdict}"


rule open_questions:
    """Answer all three."""
    input:
        rules.collect_evidence.output,
        expand(rules.answer_question.output, question=QUESTIONS),
        verdicts=expand(rules.answer_question.output.verdict, question=QUESTIONS),
    log:
        f"{RESULTS}/logs/open_questions.log",
    localrule: True
    conda:
        "../envs/negsamp.yaml"
    shell:
        "cat {input.verdicts} | tee {log}"
