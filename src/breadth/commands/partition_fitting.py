"""``breadth partition train`` and ``breadth partition calibrate``: fit a backend on labelled pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json
from breadth.commands.output import console, errors, print_json
from breadth.commands.partition_options import (
    Backend,
    Clustering,
    DiskCache,
    Encoder,
    Key,
    Model,
    Url,
    are_groups,
    build,
    read_groups,
    read_rows,
    trained_on,
)

TRAINED = ("classifier", "cross_encoder")


def train(
    pairs: Annotated[
        Path, typer.Argument(help="JSONL of prompt, generation_0, generation_1, similar (0 or 1); also .gz.")
    ],
    out: Annotated[Path, typer.Option(help="Where to write it: a JSON file (classifier), a folder (cross_encoder).")],
    backend: Annotated[
        str, typer.Option(help="classifier: seconds on a CPU. cross_encoder: fine-tuning.")
    ] = "classifier",
    model: Annotated[str | None, typer.Option(help="cross_encoder: name or folder of the model to start from.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="classifier: folder of a sentence encoder whose vectors are features as well.")
    ] = None,
    objective: Annotated[
        str, typer.Option(help="Of the threshold: accuracy, balanced_accuracy, f1, count, precision.")
    ] = "balanced_accuracy",
    epochs: Annotated[float, typer.Option(help="cross_encoder: at most.")] = 5.0,
    learning_rate: Annotated[float, typer.Option(help="cross_encoder.")] = 2e-5,
    batch_size: Annotated[int, typer.Option(help="cross_encoder: ordered pairs.")] = 16,
    max_length: Annotated[int, typer.Option(help="cross_encoder: tokens of a pair.")] = 1024,
    use_prompt: Annotated[bool, typer.Option(help="cross_encoder: show the prompt.")] = False,
    patience: Annotated[int, typer.Option(help="cross_encoder: epochs without a rise before it stops.")] = 2,
    held_out_share: Annotated[
        float, typer.Option(help="cross_encoder: of the prompts, for stopping and threshold.")
    ] = 0.2,
    device: Annotated[str | None, typer.Option(help="cross_encoder: cpu, or what transformers finds.")] = None,
    seed: Annotated[int, typer.Option(help="Of folds and split, and of a new head.")] = 0,
    licence: Annotated[str, typer.Option(help="Of the data, for the training record.")] = "",
    disk_cache: Annotated[
        bool, typer.Option(help="classifier: keep the encoder's vectors in the cache folder; encoding takes minutes.")
    ] = True,
    json: Json = False,
) -> None:
    """Fit a backend on labelled pairs, judged on prompts that it was not fitted on.

    The classifier on cheap features is cross-validated by prompt. The cross-encoder is fine-tuned by transformers on both orders of
    each pair and stops on a split by prompt; it becomes an ordinary folder for --backend cross_encoder --model FOLDER.
    """
    from breadth.config import nearest

    rows = read_rows(pairs)
    if backend not in TRAINED:
        raise ValueError(
            f"train: only classifier and cross_encoder are trained, got {backend!r}{nearest(backend, TRAINED)}"
        )
    if backend == "cross_encoder":
        if model is None:
            raise ValueError("train: a cross-encoder needs --model, the name or folder of the model to start from")
        from breadth.partitions.fine_tuning import fine_tune

        tuned = fine_tune(
            rows, model=model, out=out, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size,
            max_length=max_length, use_prompt=use_prompt, patience=patience, held_out_share=held_out_share,
            objective=objective, device=device, seed=seed, data=pairs.name, licence=licence,
        )  # fmt: skip
        threshold, record = tuned.threshold, tuned.record
    else:
        if model is not None:
            raise ValueError("train: --model is for cross_encoder; a classifier starts from nothing")
        from breadth.partitions.training import train_classifier

        fitted = train_classifier(
            rows, encoder=encoder, objective=objective, seed=seed, data=pairs.name, licence=licence,
            disk_cache=disk_cache and encoder is not None,
        )  # fmt: skip
        fitted.save(out)
        threshold, record = fitted.threshold, fitted.record
    if json:
        print_json({"written": str(out), "threshold": threshold, "record": dict(record)})
        return
    console.print(f"threshold {threshold:.3f}", highlight=False)
    for name, value in record.items():
        console.print(f"{name}  {value}", highlight=False, soft_wrap=True)
    console.print(f"written  {out}", highlight=False)


def calibrate(
    labelled: Annotated[
        Path,
        typer.Argument(
            help="JSONL, also .gz: pairs (prompt, generation_0, generation_1, similar), or groups with their classes "
            "(prompt, generations, partition). Not the set that results are reported on."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where to write it. Default: beside the classifier, NAME.calibration.json.")
    ] = None,
    backend: Backend = "classifier",
    model: Model = None,
    encoder: Encoder = None,
    url: Url = None,
    key: Key = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="Pairs: accuracy, balanced_accuracy, f1, count, precision (at --least-recall). Groups: ari, distinct. "
            "Default: balanced_accuracy, ari."
        ),
    ] = None,
    least_recall: Annotated[float, typer.Option(help="Of the objective precision.")] = 0.8,
    curve: Annotated[str, typer.Option(help="Pairs: from score to probability, isotonic or platt.")] = "isotonic",
    clustering: Clustering = "greedy",
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation, by prompt.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the folds.")] = 0,
    disk_cache: DiskCache = None,
    json: Json = False,
) -> None:
    """Choose the threshold for a stated objective, and the curve from score to probability, by cross-validation by prompt.

    The file goes to --calibration of run, eval and serve, or to breadth.partition(..., calibration=FILE).
    """
    from breadth.partitions.calibrating import calibrate_groups, calibrate_pairs
    from breadth.partitions.training import pairs_digest, read_pairs

    if out is None:
        if backend != "classifier" or model is None:
            raise ValueError("calibrate: --out is needed where there is no classifier file to stand beside")
        out = Path(model).with_suffix(".calibration.json")
    rows = read_rows(labelled)
    tell = build(backend, model=model, encoder=encoder, url=url, key=key, clustering=clustering, disk_cache=disk_cache)
    if are_groups(rows):
        prompts, texts, kinds = read_groups(rows, labelled)
        found = calibrate_groups(
            tell, texts=texts, prompts=prompts, kinds=kinds, objective=objective or "ari", n_folds=folds, seed=seed,
            data=labelled.name,
        )  # fmt: skip
    else:
        groups, same = read_pairs(rows)
        found = calibrate_pairs(
            tell, a=[g.texts[0] for g in groups], b=[g.texts[1] for g in groups], prompts=[g.prompt for g in groups],
            same=same, objective=objective or "balanced_accuracy", least_recall=least_recall, method=curve, n_folds=folds,
            seed=seed, data=labelled.name,
        )  # fmt: skip
        if trained_on(tell.backend) == pairs_digest(rows):
            errors.print(
                "note: the model was trained on these very pairs; a threshold and a curve chosen on them are too sure of "
                "themselves. Its own threshold was chosen on cross-validated scores.",
                highlight=False,
            )
    found.save(out)
    if json:
        print_json({"written": str(out), "threshold": found.threshold, "record": dict(found.record)})
        return
    console.print(f"threshold {found.threshold:.3f}", highlight=False)
    for name, value in found.record.items():
        if value is not None:
            console.print(f"{name}  {value}", highlight=False, soft_wrap=True)
    console.print(f"written  {out}", highlight=False)
