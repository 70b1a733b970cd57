"""A causal language model in a folder, sampled by transformers, with the log-probability of every answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from breadth.generation.request import Message, Reply, Request
from breadth.metrics.conditions import Sampling


class LocalSampler:
    """Draws replies from a transformers folder.

    Parameters
    ----------
    folder : path
        With safetensors weights, a tokenizer, and a config; nothing is downloaded, no code of the folder is run.
    sampling : Sampling
        Temperature first, then top-p, then min-p, as transformers applies them. No top-k and no repetition penalty, whatever
        the folder's generation_config says: it is read for its end tokens only.
    device : str
        For torch.
    batch_size : int
        Replies that are drawn at once.
    template : "auto", "chat" or "plain"
        "auto": the tokenizer's chat template where it has one; "plain": the turns one below the other.

    Raises
    ------
    FileNotFoundError
        No folder there.
    ImportError
        transformers is not installed.
    ValueError
        A checkpoint without all its weights (it would write at random), a template that the tokenizer does not have.

    Source: none; sampling is transformers'. Departures: none.
    """

    def __init__(
        self,
        folder: str | Path,
        sampling: Sampling,
        *,
        device: str = "cpu",
        batch_size: int = 16,
        template: str = "auto",
    ) -> None:
        if template not in ("auto", "chat", "plain"):
            raise ValueError(f"template: unknown {template!r}; known: auto, chat, plain")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"{folder}: expected a folder with config.json, model.safetensors and a tokenizer, got none; nothing is downloaded. "
                "For a server give --url"
            )
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise ImportError(
                "breadth generate needs transformers for a local model: pip install 'breadth[text]'"
            ) from error
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        has_template = bool(getattr(self.tokenizer, "chat_template", None))
        if template == "chat" and not has_template:
            raise ValueError(f"template: {folder} has no chat template; use plain")
        self.template = "chat" if has_template and template != "plain" else "plain"
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        missing = sorted(
            set(report["missing_keys"]) - {"lm_head.weight"}
            if model.config.tie_word_embeddings
            else report["missing_keys"]
        )
        if missing:
            raise ValueError(
                f"{folder}: the checkpoint lacks {len(missing)} weights ({', '.join(missing[:3])}, …), it would write at random"
            )
        self.model = model.to(device).eval()
        self.name, self.sampling, self.device, self.batch_size = folder.resolve().name, sampling, device, batch_size
        ends = getattr(model.generation_config, "eos_token_id", None)
        ends = ends if isinstance(ends, list) else [ends]
        self.ends = sorted({int(e) for e in (*ends, self.tokenizer.eos_token_id) if e is not None})

    def draw(self, requests: Sequence[Request]) -> Iterator[tuple[int, list[Reply] | str]]:
        """Yield (position, replies) in order; see :class:`breadth.generation.request.Sampler`."""
        import torch

        for position, request in enumerate(requests):
            ids = self.prompt_ids(request.messages)
            room = getattr(self.model.config, "max_position_embeddings", None)
            if room is not None and len(ids) + self.sampling.max_tokens > room:
                yield (
                    position,
                    f"prompt of {len(ids)} tokens and {self.sampling.max_tokens} new ones exceed the model's {room} positions",
                )
                continue
            devices = [torch.device(self.device)] if torch.device(self.device).type == "cuda" else []
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(request.seed)
                replies: list[Reply] = []
                while len(replies) < request.n:
                    replies += self._batch(ids, min(self.batch_size, request.n - len(replies)))
            yield position, replies

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a conversation, up to where the model goes on."""
        if self.template == "chat":
            text = self.tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
            # the template writes its own special tokens
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(self.tokenizer("\n\n".join(message["content"] for message in messages))["input_ids"])

    def _batch(self, ids: Sequence[int], n: int) -> list[Reply]:
        import torch
        from transformers import GenerationConfig

        s = self.sampling
        greedy = s.temperature == 0
        warps: dict[str, Any] = (
            {} if greedy else {"temperature": s.temperature, "top_p": s.top_p, "min_p": s.min_p or None, "top_k": 0}
        )
        pad = self.tokenizer.pad_token_id
        settings = GenerationConfig(
            do_sample=not greedy, max_new_tokens=s.max_tokens, num_beams=1, repetition_penalty=1.0, eos_token_id=self.ends or None,
            pad_token_id=pad if pad is not None else (self.ends[0] if self.ends else 0), **warps,
        )  # fmt: skip
        before: list[torch.Tensor] = []
        steps: list[torch.Tensor] = []

        def watch(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            """Stands before the warpers: sees the model's own log-probabilities, one step behind the token."""
            if before:
                steps.append(before.pop().gather(-1, input_ids[:, -1:]))  # (B, 1)
            before.append(torch.log_softmax(scores.float(), dim=-1))
            return scores

        given = torch.tensor([list(ids)] * n, device=self.device)  # (B, P)
        with torch.inference_mode():
            made = self.model.generate(
                given, attention_mask=torch.ones_like(given), generation_config=settings, logits_processor=[watch]
            )
            new = made[:, given.shape[1] :]  # (B, T)
            steps.append(before.pop().gather(-1, new[:, -1:]))
        logp = torch.cat(steps, dim=1).double()  # (B, T)
        replies = []
        for row, chances in zip(new.tolist(), logp.tolist(), strict=True):
            end = next((t for t, token in enumerate(row) if token in self.ends), None)
            size = len(row) if end is None else end + 1
            text = self.tokenizer.decode(row[: size if end is None else end], skip_special_tokens=True)
            replies.append(Reply(text, sum(chances[:size]), size, "length" if end is None else "stop"))
        return replies
