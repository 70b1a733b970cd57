"""What the site shows beside the pages of docs/: the root's own pages, an index of objectives, and the API of every room.

mkdocs calls the functions named ``on_*``. Nothing here imports breadth: the site is built from the sources as text.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "breadth"
ROOT_PAGES = {
    "LOG.md": "log.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]*)(#[^)\s]*)?\)")
FENCED = re.compile(r"(^```.*?^```$)", re.S | re.M)


def public_names() -> dict[str, str]:
    """Return the front page of the package: public name -> dotted path, read from ``_PUBLIC`` without importing it."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "_PUBLIC" for target in node.targets):
            return {name: target.replace(":", ".") for name, target in ast.literal_eval(node.value).items()}
    raise ValueError(f"{PACKAGE / '__init__.py'}: expected the table _PUBLIC of public names, found none")


def rooms() -> dict[str, list[str]]:
    """Return the rooms in the order of the alphabet: name -> its modules' dotted paths; single files are rooms too."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "__pycache__" in parts or parts[0] in ("__init__", "__main__"):
            continue
        names = parts[:-1] if parts[-1] == "__init__" else parts
        if parts[-1] == "__init__" and not path.read_text(encoding="utf-8").strip():
            found.setdefault(parts[0], [])
            continue
        if not any(name.startswith("_") for name in names):
            found.setdefault(parts[0], []).append(".".join(("breadth", *names)))
    return found


def api_pages() -> dict[str, str]:
    """Return the pages of the API: file name -> Markdown with mkdocstrings' blocks."""
    names = public_names()
    lines = [
        "# API",
        "",
        "Everything that `import breadth` offers, by name; the pages beside this one show whole rooms.",
        "",
    ]
    lines += [
        "| name | where it stands |",
        "|---|---|",
        *(f"| `breadth.{name}` | `{path}` |" for name, path in names.items()),
        "",
    ]
    for name, path in names.items():
        if (PACKAGE / path.removeprefix("breadth.")).is_dir():  # a room, whose names are imported when they are used
            lines += [f"## breadth.{name}", "", f"All of it: [{name}]({path.removeprefix('breadth.')}.md).", ""]
        else:
            lines += [
                f"::: {path}",
                "    options:",
                f"      heading: breadth.{name}",
                f"      toc_label: breadth.{name}",
                "",
            ]
    pages = {"api/index.md": "\n".join(lines)}
    for room, modules in rooms().items():
        blocks = "\n".join(f"::: {module}\n    options:\n      show_submodules: false\n" for module in modules)
        pages[f"api/{room}.md"] = f"# {room}\n\n{blocks}"
    return pages


def objectives_index() -> str:
    """Return the README's generated table of objectives as a page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- objectives-table -->")[1].split("<!-- /objectives-table -->")[0]
    return "# Objectives\n\nOne page each.\n" + table.replace("](docs/objectives/", "](")


def generated() -> dict[str, str]:
    """Return every page that has no file in docs/: path in the site's sources -> Markdown."""
    pages = {page: moved((ROOT / name).read_text(encoding="utf-8"), ROOT, page) for name, page in ROOT_PAGES.items()}
    return pages | {"objectives/index.md": objectives_index()} | api_pages()


def moved(text: str, folder: Path, page: str) -> str:
    """Return a page's Markdown with the links that leave docs/ led to where the site has them, else to the file's name.

    Parameters
    ----------
    text : str
        Fenced code is left alone.
    folder : Path
        Where the text's own links start.
    page : str
        Its place in the site's sources.
    """

    def lead(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        path = Path(os.path.normpath(folder / target))
        inside = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if inside == "docs/objectives":
            place = "objectives/index.md"
        elif inside.startswith("docs/"):
            place = inside.removeprefix("docs/")
        elif inside in ROOT_PAGES:
            place = ROOT_PAGES[inside]
        elif inside == "README.md" or inside == "docs":
            place = "README.md"
        else:
            return words if words.strip("`") == Path(target).name else f"{words} (`{inside or target}`)"
        start = Path(page).parent.as_posix()
        return f"[{words}]({os.path.relpath(place, start)}{anchor})"

    return "".join(part if i % 2 else LINK.sub(lead, part) for i, part in enumerate(FENCED.split(text)))


def expanded(nav: list[Any], pages: list[str]) -> list[Any]:
    """Return the nav with each pattern replaced by the pages that it fits and that stand nowhere else, in the alphabet's order.

    ``folder/*`` takes what is left of a folder, ``*`` what is left of docs/ itself, ``findings*`` a page that may be missing.
    """
    taken = set(re.findall(r"[\w./-]+\.md", repr(nav)))

    def fill(entries: list[Any]) -> list[Any]:
        filled: list[Any] = []
        for entry in entries:
            if isinstance(entry, dict):
                filled += [{title: fill(below) if isinstance(below, list) else below} for title, below in entry.items()]
            elif entry.endswith("*"):
                found = [page for page in sorted(pages) if page not in taken and fnmatch.fnmatch(page, entry)]
                found = [page for page in found if Path(page).parent == Path(entry).parent]
                taken.update(found)
                filled += found
            else:
                filled.append(entry)
        return filled

    return fill(nav)


def all_pages() -> list[str]:
    """Return every page of the site, files and generated ones."""
    docs = ROOT / "docs"
    return sorted({path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} | set(generated()))


def on_config(config: Any) -> Any:
    config.nav = expanded(config.nav, all_pages())
    return config


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    path = page.file.src_uri
    return markdown if path in generated() else moved(markdown, (ROOT / "docs" / path).parent, path)
