"""CLIP's own class names and templates, from the user's copy of data/prompts.md of its repository."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PaperPrompts:
    """The names and templates of one dataset; a class may have several names."""

    classes: list[str | tuple[str, ...]]
    templates: tuple[str, ...]


def read_prompts(path: Path, section: str) -> PaperPrompts:
    """Return a section of the prompts file. Raises ValueError where the file or its section is none."""
    if not path.is_file():
        raise ValueError(
            f"no prompts at {path}. Next: pass a copy of data/prompts.md of CLIP's own repository"
        )
    parts = re.split(r"^## (.+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(map(str.strip, parts[1::2]), parts[2::2], strict=True))
    if section not in sections:
        raise ValueError(f"{path} has no section {section!r}. Next: leave --prompts out, or pass --classes")
    classes = _list(path, section, sections[section], "classes")
    templates = _list(path, section, sections[section], "templates")
    return PaperPrompts(
        classes=[name if isinstance(name, str) else tuple(name) for name in classes],
        templates=tuple(templates),
    )


def _list(path: Path, section: str, text: str, name: str) -> list[str]:
    """Return the list that is assigned to a name; it is read as a literal and never run."""
    found = re.search(rf"^{name} = (\[.*?^\])", text, flags=re.MULTILINE | re.DOTALL)
    try:
        return list(ast.literal_eval(found.group(1) if found else ""))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path}, section {section}: {name} is no list of names") from error
