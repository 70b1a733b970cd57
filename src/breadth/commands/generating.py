"""``breadth generate``: answers from a model, under conditions that the file keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json
from breadth.commands.output import console, errors, print_json


def generate(
    model: Annotated[
        str, typer.Argument(help="Folder of a causal language model; with --url the server's name for it.")
    ],
    prompts: Annotated[
        Path, typer.Option(help="JSONL, JSON, Parquet or CSV with prompt or turns; or .txt, one prompt a line.")
    ],
    out: Annotated[Path, typer.Option(help="JSONL to write. What stands in it is kept: the same command goes on.")],
    k: Annotated[int, typer.Option("--k", min=1, help="Answers to each prompt.")] = 16,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Smallest set of tokens with this much probability; 1 is off.")] = 1.0,
    min_p: Annotated[
        float, typer.Option(help="Only tokens with this share of the likeliest one's probability; 0 is off.")
    ] = 0.0,
    verbalized: Annotated[
        int,
        typer.Option(min=0, help="Verbalized sampling: so many answers with probabilities in each reply; 0 is off."),
    ] = 0,
    protocol: Annotated[
        str, typer.Option(help="single; or two_turn: k answers to the first turn, one as context, k to the second.")
    ] = "single",
    max_tokens: Annotated[int, typer.Option(min=1, help="Of a reply.")] = 512,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    url: Annotated[
        str | None, typer.Option(help="OpenAI-compatible server, up to /v1; the key comes from --key-variable.")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable that holds the server's key.")
    ] = "OPENAI_API_KEY",
    in_flight: Annotated[int, typer.Option(min=1, help="Server: calls at once.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.1, help="Server: seconds for one call.")] = 300.0,
    device: Annotated[str, typer.Option(help="Folder: cpu, cuda, cuda:1 …")] = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Folder: answers drawn at once.")] = 16,
    template: Annotated[
        str, typer.Option(help="Folder: auto (the chat template where there is one), chat, plain.")
    ] = "auto",
    column: Annotated[str | None, typer.Option(help="Where the prompts stand. Default: the first usual name.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many prompts.")] = None,
    json: Json = False,
) -> None:
    """Draw answers from a local model or a server and write them as a file that [bold]breadth measure[/bold] reads.

    Every row says how it was drawn, and tables show it: a decoding trick and a trained policy stand on one plane.

    Examples:

    [dim]breadth generate models/tuned --prompts prompts.jsonl --k 16 --out tuned.jsonl
    breadth generate models/tuned --prompts prompts.jsonl --k 16 --min-p 0.1 --temperature 1.5 --out hot.jsonl
    breadth generate llama --url http://127.0.0.1:8000/v1 --prompts prompts.jsonl --verbalized 4 --out verbalized.jsonl
    breadth generate models/tuned --prompts mt_bench.jsonl --protocol two_turn --out two_turn.jsonl[/dim]
    """
    from rich.progress import Progress

    from breadth.generation.prompts import read_prompts
    from breadth.generation.request import Sampler
    from breadth.generation.writing import generate_file
    from breadth.metrics.conditions import Sampling

    sampling = Sampling(temperature, top_p, min_p, verbalized, max_tokens, seed, protocol)
    asked = read_prompts(prompts, column=column, limit=limit)
    sampler: Sampler
    if url is not None:
        from breadth.generation.remote import RemoteSampler
        from breadth.partitions.chat import ChatClient

        client = ChatClient(
            url, model=model, key_variable=key_variable, in_flight=in_flight, timeout=timeout, most_bytes=64_000_000
        )
        sampler = RemoteSampler(client, sampling)
    else:
        from breadth.generation.local import LocalSampler

        sampler = LocalSampler(model, sampling, device=device, batch_size=batch_size, template=template)
    with Progress(console=errors, transient=True, disable=json or not errors.is_terminal) as progress:
        bar = progress.add_task("drawing", total=None)
        found = generate_file(
            sampler, asked, out, sampling=sampling, k=k,
            on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )  # fmt: skip
    if json:
        print_json({"written": str(out), "result": found, "sampling": sampling})
        return
    kept = f" ({found.n_kept} of them from before)" if found.n_kept else ""
    console.print(
        f"written  {out}: {found.n_answers} answers to {found.n_prompts} prompts{kept}", markup=False, highlight=False
    )
    for n, what in (
        (found.n_short, f"turns have fewer than {k} answers"),
        (found.n_unread, "replies held no answer that could be read"),
        (found.n_failed, "prompts have no answer; the same command tries them again"),
    ):
        if n:
            console.print(f"  {n} {what}", markup=False, highlight=False)
    if found.failures is not None:
        console.print(f"  reasons  {found.failures}", markup=False, highlight=False)
    if not found.n_answers:
        raise ValueError(f"{out}: no prompt was answered; the reasons stand in {found.failures}")
