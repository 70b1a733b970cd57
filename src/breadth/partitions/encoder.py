"""A sentence encoder out of a folder: texts to vectors, by transformers alone, and a name for its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Encode = Callable[[list[str]], np.ndarray]

_PLAIN = ("Transformer", "Pooling", "Normalize")  # modules that are read here; others need sentence-transformers
_POOLINGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
_LONGEST = 512  # tokens, where neither the folder nor the tokenizer says


def load_encoder(model: str, *, device: str | None = None) -> Encode:
    """Return a function from M texts to (M, d) float64 of length 1.

    Parameters
    ----------
    model : str
        A folder in the layout of sentence-transformers (``modules.json``, ``1_Pooling/config.json``) whose modules are a
        transformer, a mean or first-token pooling and a normalisation: transformers alone reads it. Any other folder, and
        any name, is handed to sentence-transformers.
    device : str, optional
        For torch; the processor where absent (sentence-transformers: its own choice).

    Raises
    ------
    ImportError
        transformers, or for other folders and names sentence-transformers, is not installed.
    ValueError
        The folder lacks weights of the model: it would encode at random.

    Source: Reimers and Gurevych 2019. Departures: none; vectors equal those of sentence-transformers to 1e-6.
    """
    folder = Path(model)
    pooling = _pooling(folder)
    if pooling is None:
        return _sentence_transformer(model, device)
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ImportError("a sentence encoder needs transformers: pip install 'breadth[text]'") from error
    loaded, report = AutoModel.from_pretrained(folder, output_loading_info=True, use_safetensors=True)
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))  # unused by these poolings
    if missing:
        raise ValueError(
            f"{folder}: the checkpoint lacks {len(missing)} weights ({', '.join(missing[:3])}, …), it would encode at random"
        )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    where = device or "cpu"
    loaded = loaded.to(where).eval()
    longest = _longest(folder, tokenizer)

    def encode(texts: list[str]) -> np.ndarray:
        rows = tokenizer(texts, truncation=True, max_length=longest, padding=True, return_tensors="pt").to(where)
        with torch.inference_mode():
            hidden = loaded(**rows).last_hidden_state.double()  # (M, T, d)
        if pooling == "cls":
            found = hidden[:, 0]
        else:
            kept = rows["attention_mask"].unsqueeze(-1).double()  # (M, T, 1)
            found = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(found, dim=-1).cpu().numpy()

    return encode


def weights_hash(model: str | Path) -> str:
    """Return the SHA-256 of a folder's weights (``model.safetensors``, or its shards in the order of their names).

    Raises
    ------
    ValueError
        No folder, or no safetensors in it.
    """
    folder = Path(model)
    shards = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not shards:
        raise ValueError(f"encoder: expected a folder with model.safetensors, got {str(model)!r}")
    digest = hashlib.sha256()
    for shard in shards:
        with open(shard, "rb") as handle:
            while part := handle.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def _pooling(folder: Path) -> str | None:
    """Return "mean" or "cls" where the folder is of the plain kind, else None."""
    listed, settings = folder / "modules.json", folder / "1_Pooling" / "config.json"
    if not listed.is_file() or not settings.is_file():
        return None
    modules: list[dict[str, Any]] = json.loads(listed.read_text(encoding="utf-8"))
    if any(module["type"].rpartition(".")[2] not in _PLAIN or module["path"].startswith("0") for module in modules):
        return None
    asked = folder / "config_sentence_transformers.json"
    if asked.is_file() and json.loads(asked.read_text(encoding="utf-8")).get("default_prompt_name"):
        return None  # a text that is put before every other
    config = json.loads(settings.read_text(encoding="utf-8"))
    if "pooling_mode" in config:  # written by sentence-transformers from 6 on
        return config["pooling_mode"] if config["pooling_mode"] in _POOLINGS.values() else None
    chosen = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    return _POOLINGS.get(chosen[0]) if len(chosen) == 1 else None


def _longest(folder: Path, tokenizer: Any) -> int:
    settings = folder / "sentence_bert_config.json"
    said = json.loads(settings.read_text(encoding="utf-8")).get("max_seq_length") if settings.is_file() else None
    return int(said or min(_LONGEST, tokenizer.model_max_length))


def _sentence_transformer(model: str, device: str | None) -> Encode:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            f"{model!r} is no folder that transformers alone can read as a sentence encoder: pip install sentence-transformers, "
            "or pass encode=, a function from texts to vectors"
        ) from error
    loaded = SentenceTransformer(model, device=device)

    def encode(texts: list[str]) -> np.ndarray:
        rows = loaded.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(rows, dtype=float)

    return encode
