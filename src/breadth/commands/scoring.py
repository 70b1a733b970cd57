"""``breadth score``: rewards for a file of generations, from a reward model or a judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.files import read_fields
from breadth.commands.options import Json
from breadth.commands.output import console, errors, print_json


def score(
    file: Annotated[Path, typer.Argument(help="Generations: JSONL, Parquet, CSV, or the log of a trainer.")],
    out: Annotated[
        Path | None,
        typer.Option(help="JSONL to write. Default: FILE.scored.jsonl beside it. The same command goes on."),
    ] = None,
    reward_model: Annotated[
        str | None,
        typer.Option(
            "--reward-model", metavar="FOLDER", help="A sequence-classification model; its raw output is the reward."
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", metavar="URL", help="An OpenAI-compatible server, up to /v1: 1 to 10 for each answer."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Judge: the server's name for the model.")] = None,
    pairwise: Annotated[
        Path | None,
        typer.Option(
            "--pairwise", metavar="BASE", help="Judge: compare with the answers of this file, in both orders."
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Judge: file with turns and reference, right answers that it is shown (MT-Bench)."),
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Judge: environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    in_flight: Annotated[int, typer.Option(min=1, help="Judge: calls at once.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.1, help="Judge: seconds for one call.")] = 120.0,
    tries: Annotated[int, typer.Option(min=1, help="Judge: calls for one answer, the first included.")] = 4,
    pause: Annotated[
        float, typer.Option(min=0, help="Judge: seconds before the second call, doubled each time.")
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Judge: of a judgement.")] = 1024,
    label: Annotated[int | None, typer.Option(help="Reward model: which output, where there are several.")] = None,
    template: Annotated[
        str, typer.Option(help="Reward model: auto (the chat template where there is one), chat, plain.")
    ] = "auto",
    max_length: Annotated[int | None, typer.Option(min=1, help="Reward model: tokens; what is longer is cut.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Reward model.")] = 32,
    device: Annotated[str, typer.Option(help="Reward model: cpu, cuda …")] = "cpu",
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="NAME=COLUMN", help="Where prompt and response stand.")
    ] = None,
    json: Json = False,
) -> None:
    """Score the answers of a file: by a reward model, or by a language model as judge. Unscored is null, never 0.

    Equal answers are scored once. A server that goes down half-way costs nothing: what is done is kept, the same command asks
    for the rest.

    Examples:

    [dim]breadth score tuned.jsonl --reward-model models/reward
    breadth score two_turn.jsonl --judge http://127.0.0.1:8000/v1 --model judge --questions mt_bench.jsonl
    breadth score tuned.jsonl --judge http://127.0.0.1:8000/v1 --model judge --pairwise base.jsonl[/dim]
    """
    from rich.progress import Progress

    from breadth.scoring.item import Scorer
    from breadth.scoring.scored_file import score_file

    if (reward_model is None) == (judge is None):
        raise ValueError("score: expected one of --reward-model FOLDER and --judge URL")
    if judge is None and (pairwise or questions or model):
        raise ValueError("score: --model, --pairwise and --questions belong to --judge")
    if judge is not None and model is None:
        raise ValueError("score: --judge needs --model, the server's name for it")
    scorer: Scorer
    if reward_model is not None:
        from breadth.scoring.reward_model import RewardModel

        scorer = RewardModel(
            reward_model, label=label, template=template, max_length=max_length, batch_size=batch_size, device=device
        )
    else:
        from breadth.partitions.chat import ChatClient
        from breadth.scoring.judge import Judge
        from breadth.scoring.questions import read_references

        client = ChatClient(
            str(judge),
            model=str(model),
            key_variable=key_variable,
            in_flight=in_flight,
            timeout=timeout,
            n_tries=tries,
            pause=pause,
        )
        references = read_references(questions) if questions is not None else None
        scorer = Judge(client, pairwise=pairwise is not None, references=references, max_tokens=max_tokens)
    name = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    out = file.with_name(f"{name}.scored.jsonl") if out is None else out
    with Progress(console=errors, transient=True, disable=json or not errors.is_terminal) as progress:
        bar = progress.add_task("scoring", total=None)
        found = score_file(
            file,
            scorer,
            out,
            base=pairwise,
            fields=read_fields(field),
            on_progress=lambda n: progress.update(bar, completed=n),
        )
    if json:
        print_json({"written": str(out), "result": found, "scorer": scorer.settings})
        return
    mean = "–" if found.mean is None else f"{found.mean:.4g}"
    console.print(
        f"written  {out}: {found.n - found.n_unscored} of {found.n} answers scored, mean {mean} ({found.n_asked} asked about now)",
        markup=False, highlight=False,
    )  # fmt: skip
    for reason, n in list(found.reasons.items())[:5]:
        console.print(f"  {n} unscored: {reason}", markup=False, highlight=False)
    cut = getattr(scorer, "n_cut", 0)
    if cut:
        console.print(
            f"  {cut} inputs were longer than {scorer.settings['max_length']} tokens and were cut", highlight=False
        )
