"""What the pages and the README tell users to type: read, made small enough for a test, and told apart by kind."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cyclopts import CycloptsError
from markdown_it import MarkdownIt

from psmt_viz.cli import app
from tests.commands import QUICK

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
COMMANDS = [name for name in app if not name.startswith("-")]
SHELL, PLAIN = ("bash",), ("text",)
"""Languages of blocks of commands, and of blocks that nobody types."""


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: str
    line: int
    language: str
    title: str
    """The file that it stands for, where it has one."""
    code: str


@dataclass(frozen=True)
class Line:
    """A line that a page tells users to type."""

    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell splits it, without its comment."""
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def pages() -> list[Path]:
    """Returns every page, the README first."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@cache
def blocks() -> tuple[Block, ...]:
    """Returns every block of code of every page."""
    return tuple(block for path in pages() for block in _blocks(path))


def _blocks(path: Path) -> Iterator[Block]:
    for token in MarkdownIt().parse(path.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block"):
            language, _, rest = token.info.strip().partition(" ")
            titled = re.search(r'title="([^"]+)"', rest)
            assert token.map is not None
            yield Block(
                page=path.relative_to(ROOT).as_posix(),
                line=token.map[0] + 1 + (token.type == "fence"),
                language=language or _guess(token.content),
                title=titled[1] if titled else "",
                code=token.content,
            )


def _guess(code: str) -> str:
    """Indented blocks of the README have no language; one whose first word is a program has commands."""
    return SHELL[0] if code.split(maxsplit=1)[0] in CLASSES else PLAIN[0]


@cache
def lines() -> tuple[Line, ...]:
    """Returns every line of every page, each once."""
    found: dict[tuple[str, ...], Line] = {}
    for block in blocks():
        for index, line in enumerate(block.code.splitlines() if block.language in SHELL else ()):
            typed = Line(block.page, block.line + index, line.strip())
            if typed.words:
                found.setdefault(tuple(typed.words), typed)
    return tuple(found.values())


@cache
def different() -> tuple[Line, ...]:
    """Returns the lines that do different things once they are made smaller; of those alike, the first."""
    found: dict[object, Line] = {}
    for line in lines():
        found.setdefault(meaning(smaller(line.words)), line)
    return tuple(found.values())


def meaning(words: Sequence[str]) -> object:
    """Returns a key that is equal for lines that do the same, wherever they write; for other programs, the words."""
    if words[0] != "psmt-viz":
        return tuple(words)
    try:
        command, given, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    except CycloptsError:
        return tuple(words)
    given.apply_defaults()
    values = {name: value for name, value in given.arguments.items() if name != "out"}
    return (command.__name__, _alike(repr(values))) if values else tuple(words)


def _alike(text: str) -> str:
    return re.sub("|".join(f"'{name}'" for name in SAVED), "'saved'", text)


def files() -> dict[str, str]:
    """Returns name -> content of the files that pages tell users to write."""
    return {block.title: block.code for block in blocks() if block.title}


CLASSES = ("psmt-viz", "torchrun", "python", "make", "pip", "mkdocs")
"""First words of lines that are known here."""


# What makes the lines of the pages small enough for tests. Every change has its reason.


@dataclass(frozen=True)
class Change:
    """A change to the lines of a command of psmt-viz."""

    command: str
    flag: str
    value: str
    """In place of the one given, or in addition if none is; `/500` divides; empty for a flag without value."""
    reason: str
    given: bool | None = None
    """Only where the flag is given (True), or is not (False)."""
    beside: tuple[str, ...] = ()
    """Only with one of these words in the line."""
    without: tuple[str, ...] = ()
    """Only with none of these words in the line."""


_PAPER = ("voc", "voc-classic", "cityscapes")
CHANGES = (
    Change("tsne", "--n-pixels", "/500", "a map of 25,000 pixels takes a minute, and the stand-ins have few pixels"),
    Change("tsne", "--n-pixels", "50", "25,000 by default", given=False),
    Change("figures", "--n-pixels", "50", "as tsne", without=("--from",)),
    Change("figures", "--images", "1", "six seconds per image", without=("--from",)),
    Change("figures", "--sweep", "2", "one eps in place of four", without=("--from",)),
    Change("figures", "--jobs", "1", "several threads wait for each other on a busy machine", given=True),
    Change("tsne", "--jobs", "1", "as figures", given=True),
    Change("figures", "--run", "runs/mine", "a run of smaller images", without=("--from", "runs/mine")),
    Change("perturb", "--run", "runs/mine", "a run of smaller images", without=("--model", "runs/mine")),
    Change("perturb", "--images", "1", "128 images take minutes", without=("--closeup",)),
    Change("gradcam", "--images", "1", "seconds per image"),
    Change("tsne", "--device", "auto", "no GPU", given=True),
    Change("perturb", "--device", "auto", "no GPU", given=True),
    Change("train", "--device", "cpu", "two GPUs or none, the plan is the same", given=False, beside=("--devices",)),
    Change("train", "--devices", "2", "GPUs have numbers, processes on a CPU have none", given=True, beside=("0,1",)),
    Change("train", "--dry-run", "", "days on GPUs", given=False, beside=_PAPER),
    Change("train", "--steps-per-epoch", "2", "fewer images than a batch", given=False, beside=_PAPER),
    Change("train", "--backbone", "test_resnet", "a network of seconds", without=("--dry-run", *_PAPER)),
    Change("train", "--no-pretrained", "", "it has no weights to begin with", without=("--dry-run", *_PAPER)),
    *(
        Change("train", f"--{name}", value, "a training of seconds", without=("--dry-run", *_PAPER))
        for name, value in QUICK.items()
    ),
)
SAVED = ("figures", "results", "runs/mine/figures")
"""Folders on the pages that hold saved results; one stands for all."""
WORDS = {"IMAGE_ID": "val01"}
"""Words that stand for what users know."""
PARSED_ALONE = {
    "import": "writes a gigabyte of the authors' network; test_cli_import does",
    "export": "needs a run of that network; test_cli_import does",
}
"""Commands whose flags are read here and no more."""


def smaller(words: Sequence[str]) -> list[str]:
    """Returns the words of a line, changed as `CHANGES` and `WORDS` say."""
    changed = [WORDS.get(word, word) for word in words]
    for change in CHANGES:
        if applies(change, words):
            changed = _with(changed, change)
    return changed


def applies(change: Change, words: Sequence[str]) -> bool:
    """Returns whether a change applies to a line."""
    return (
        words[:2] == ["psmt-viz", change.command]
        and "--help" not in words
        and (change.given is None or (change.flag in words) is change.given)
        and (not change.beside or any(word in words for word in change.beside))
        and not any(word in words for word in change.without)
    )


def _with(words: list[str], change: Change) -> list[str]:
    values = change.value.split()
    if change.flag not in words:
        return words if change.value.startswith("/") else [*words, change.flag, *values]
    first = words.index(change.flag) + 1
    last = next((place for place in range(first, len(words)) if words[place].startswith("--")), len(words))
    if change.value.startswith("/"):
        values = [str(int(words[first]) // int(change.value[1:]))]
    return [*words[:first], *values, *words[last:]]


# The files that the pages of the commands list.


@cache
def page_of(command: str) -> str:
    """Returns the text of a command's page."""
    return (DOCS / "commands" / f"{command}.md").read_text(encoding="utf-8")


def spans(text: str) -> list[str]:
    """Returns what stands as inline code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def written(command: str) -> list[str]:
    """Returns the files of the tables on a command's page, `name.*` as the four that it stands for."""
    found = []
    for table in re.findall(r"^\| file \|.*\n((?:\|.*\n)+)", page_of(command), re.MULTILINE):
        for row in table.splitlines()[1:]:
            for name in spans(row.split(" | ")[0]):
                stem = name.removesuffix(".*")
                figure = [f"{stem}.{end}" for end in ("png", "pdf", "svg", "provenance.json")]
                found += figure if name.endswith(".*") else [name]
    return found


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Returns whether a name is one of some in which `<what>` and `NNNN` stand for anything; `x/` is a folder."""
    return any(re.fullmatch(_pattern(pattern), name) for pattern in patterns)


def _pattern(text: str) -> str:
    parts = re.split(r"(<\w+>|NNNN)", text)
    found = "".join(r"[^/]+" if part == "NNNN" or part.startswith("<") else re.escape(part) for part in parts)
    return found + (".*" if text.endswith("/") else "")


def told_files(command: str) -> list[str]:
    """The files of a command's page; `figures` refers to others."""
    others = ("evaluate", "perturb", "tsne", "gradcam", "curves", "table") if command == "figures" else ()
    return [name for each in (command, *others) for name in written(each)]


def flags_of(command: str) -> set[str]:
    """The flags that a command reads."""
    return {name for each in app[command].assemble_argument_collection() for name in each.names if each.parse}
