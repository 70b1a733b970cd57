"""Chat messages to the text that a language model reads: by the template of its own folder, or plainly where it has none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Message = Mapping[str, Any]


class ChatTemplate:
    """The chat template of a model folder: ``chat_template.jinja``, else ``chat_template`` of ``tokenizer_config.json``.

    Rendered by jinja2 in a sandbox, as transformers does. A start token that the template writes at the very beginning is left out: whoever
    encodes the prompt adds it.

    Parameters
    ----------
    folder : path

    Raises
    ------
    FileNotFoundError
        The folder, or its ``tokenizer_config.json``, is not there.
    ValueError
        The folder has no chat template.
    """

    def __init__(self, folder: str | Path) -> None:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self.folder = Path(folder).expanduser()
        config_path = self.folder / "tokenizer_config.json"
        if not config_path.is_file():
            raise FileNotFoundError(f"template: {self.folder}: expected a model folder with tokenizer_config.json")
        config = json.loads(config_path.read_text(encoding="utf-8"))
        beside = self.folder / "chat_template.jinja"
        source = beside.read_text(encoding="utf-8") if beside.is_file() else config.get("chat_template")
        if isinstance(source, list):  # several, by name
            source = next((one["template"] for one in source if one.get("name") == "default"), None)
        if not source:
            raise ValueError(
                f"template: {self.folder} has no chat template: leave template out, and prompts are given as they are"
            )
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        self._template = environment.from_string(source)
        self._tokens = {name: _token(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}

    def __call__(self, messages: Sequence[Message]) -> str:
        """Return the prompt of a conversation, up to where the assistant is to speak."""
        try:
            text = self._template.render(messages=list(messages), add_generation_prompt=True, **self._tokens)
        except Exception as error:  # whatever the template raises about these messages
            raise ValueError(
                f"template of {self.folder}: {error}; the messages were {str(list(messages))[:200]}"
            ) from error
        start = self._tokens["bos_token"]
        return text.removeprefix(start) if start else text


def plain(messages: Sequence[Message]) -> str:
    """Return a conversation as text for a model without a template: one message as it is, several with their roles.

    Examples
    --------
    >>> plain([{"role": "user", "content": "Name a bird."}])
    'Name a bird.'
    >>> plain([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a bird."}])
    'system: Be brief.\\n\\nuser: Name a bird.\\n\\nassistant:'
    """
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n\n".join([*(f"{m['role']}: {m['content']}" for m in messages), "assistant:"])


def messages_of(value: Any, *, where: str) -> list[dict[str, str]]:
    """Return the messages of a row, from a text or a list of messages; a last answer of the assistant is left out.

    Raises
    ------
    ValueError
        Says which row and what was expected.
    """
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"{where}: expected a prompt, got an empty text")
        return [{"role": "user", "content": value}]
    try:
        found = [{"role": str(m["role"]), "content": str(m["content"])} for m in value]
    except (TypeError, KeyError):
        raise ValueError(
            f"{where}: expected a text or a list of messages with role and content, got {str(value)[:120]!r}"
        ) from None
    while found and found[-1]["role"] == "assistant":
        found.pop()
    if not found or found[-1]["role"] != "user":
        raise ValueError(f"{where}: expected a conversation in which the user speaks, got {str(value)[:120]!r}")
    return found


def _token(value: Any) -> str:
    return value.get("content", "") if isinstance(value, Mapping) else value or ""


def _refuse(message: str) -> None:
    raise ValueError(message)
