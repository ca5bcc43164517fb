"""Fills the pages with what the program itself knows, so that they cannot be out of date: flags, presets, recipes.

Placeholders are `<!-- flags: tsne -->`, `<!-- commands -->`, `<!-- presets -->` and `<!-- recipes -->`. Links out of
docs/ to a file of the repository (`../analysis/results/x.png`) work in the site too, through a copy under repository/.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from cyclopts import App
from cyclopts.argument import Argument
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from psmt_viz.cli import app
from psmt_viz.cli.settings import TITLES
from psmt_viz.config import FIELDS, Config
from psmt_viz.methods import METHODS
from psmt_viz.presets import PRESETS, RECIPE_SETTINGS, RECIPES, SPLIT_SETTINGS, switches
from psmt_viz.settings import flag_of

_SAID = {
    "labeled_stream": (
        "nothing",
        "draws the views of a labelled image once per epoch and repeats them",
        "a side effect of how their data loader is cycled, which reduces augmentation",
    ),
    "sup_loss": (
        "nothing",
        "builds OHEM and never calls it",
        "the published results at crop 800 were obtained with OHEM",
    ),
    "teacher_start": (
        "nothing",
        "loads ImageNet weights into the student alone",
        "teachers trained from scratch need a longer training than most users can afford",
    ),
    "pseudo_labels": (
        "nothing",
        "leaves the teachers in training mode, so that their running statistics drift",
        "the labels of an image should not depend on its batch, and predicting should not change the teachers",
    ),
    "count_padding": (
        "nothing",
        "has no mask: padding counts in the loss like any pixel",
        "padding contains nothing to learn",
    ),
    "ramp": ("Gaussian, exp(-5 (1 - t)^2)", "cosine, (1 - cos(pi t)) / 2", "as in the supplement"),
    "noise": ("r is Gaussian", "uniform on [-0.5, 0.5)", "as in the supplement"),
    "xi": ("a small random r, without a number", "1e-6", "in float32 such a small step is lost to rounding"),
    "norm_floor": (
        "nothing",
        "1e-8, added to the norm of a gradient with the factors xi and 1 / (images of a call)",
        "it reduces the noise to almost zero",
    ),
    "best_by": ("reports the ensemble", "validates Cityscapes with its first teacher alone", "as in the supplement"),
}
"""Setting in which the recipes differ -> the supplement, the published code, and why `supplement` differs from it."""

ROOT = Path(__file__).parent.parent
COPIES = "repository"
_PLACEHOLDER = re.compile(r"^<!-- (\w+)(?:: (\w+))? -->$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?:\.\./)+[^)#\s]+")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the files of the repository that pages link to."""
    for page in list(files.documentation_pages()):
        for target in _LINK.findall(page.content_string):
            if (copied := _outside(target, page.src_uri)) and files.get_file_from_path(f"{COPIES}/{copied}") is None:
                files.append(File.generated(config, f"{COPIES}/{copied}", abs_src_path=str(ROOT / copied)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills placeholders and redirects links out of docs/ to the copies."""

    def redirected(match: re.Match[str]) -> str:
        copied = _outside(match[0], page.file.src_uri)
        return posixpath.relpath(f"{COPIES}/{copied}", posixpath.dirname(page.file.src_uri)) if copied else match[0]

    def filled(match: re.Match[str]) -> str:
        what, of = match.groups()
        if what not in _FILLERS:
            raise PluginError(f"{page.file.src_uri}: nothing fills {match[0]}")
        return _FILLERS[what](of) if of else _FILLERS[what]()

    return _PLACEHOLDER.sub(filled, _LINK.sub(redirected, markdown))


def _outside(target: str, page: str) -> str:
    """Returns the path in the repository of a link that leaves docs/, else nothing."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return path if not path.startswith(("docs/", "../")) and (ROOT / path).is_file() else ""


def flags(command: str) -> str:
    """Returns a table of a command's arguments and flags; those of `train`, one table per group of settings."""
    if command not in commands():
        raise PluginError(f"no command {command}")
    own = [each for each in app[command].assemble_argument_collection() if each.parse and each.show]
    settings = {flag_of(name): group for name, group in FIELDS.items()} if command == "train" else {}
    parts = [_flag_table(each for each in own if each.name not in settings)]
    for group, title in TITLES.items() if settings else ():
        table = _flag_table(each for each in own if settings.get(each.name) == group)
        parts.append(f"### {title}\n\n{table}")
    return "\n\n".join(parts)


def _flag_table(arguments: Iterable[Argument]) -> str:
    rows = [(_spelt(each), _values(each), _default(each), " ".join((each.parameter.help or "").split()))
            for each in arguments]  # fmt: skip
    return table(("flag", "value", "default", "what it does"), rows)


def _spelt(argument: Argument) -> str:
    names = [name for name in argument.names if not name.startswith("--empty-")]
    if argument.index is not None:
        return code(argument.name.removeprefix("--").upper())
    return ", ".join(map(code, names))


def _values(argument: Argument) -> str:
    if choices := argument.get_choices(force=True):
        return ", ".join(map(code, choices))
    return _kind(argument.hint)


def _kind(hint: Any) -> str:
    parts = [part for part in get_args(hint) if part is not type(None)]
    if get_origin(hint) is tuple:
        kinds = parts[:1] if parts[-1] is ... else parts
        return f"{_kind(parts[0])} ..." if parts[-1] is ... else " ".join(map(_kind, kinds))
    if parts:
        return _kind(parts[0])
    return {bool: "", int: "number", float: "number", str: "text", Path: "path"}[hint]


def _default(argument: Argument) -> str:
    if argument.required:
        return shown("must be given")
    setting = argument.name.removeprefix("--").replace("-", "_")
    if argument.field_info.default is None:
        is_setting = argument.keys and setting in FIELDS
        return shown(defaults()[setting]) if is_setting else ""
    return shown(argument.field_info.default)


def defaults() -> dict[str, Any]:
    """Returns every setting's default; where methods have several, that of PS-MT."""
    of_methods = {name: value for settings in METHODS.values() for name, value in vars(settings()).items()}
    return of_methods | Config().flat()


def shown(value: Any) -> str:
    """Returns a value as it is written on the command line; nothing for None and empty tuples."""
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == "must be given":
        return f"**{value}**"
    if isinstance(value, tuple):
        return code(" ".join(map(_plain, value)))
    return code(_plain(value))


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def commands() -> list[str]:
    """Returns the names of all commands."""
    return [name for name in app if not name.startswith("-")]


def command_table() -> str:
    """Returns a table of all commands, each with a link to its page and its description."""
    rows = [(f"[{code(name)}]({name}.md)", _purpose(app[name])) for name in commands()]
    return table(("command", "what it does"), rows)


def _purpose(command: App) -> str:
    return " ".join(command.help.split())


def presets() -> str:
    """Returns tables of everything that presets set: the small ones, the paper's, and what depends on the split."""
    papers = [name for name, values in PRESETS.items() if values.get("arch") == "psmt-deeplabv3plus"]
    small = [name for name in PRESETS if name not in papers]
    by_split = [
        (code(preset), code(split), ", ".join(f"{code(flag_of(name))} {shown(value)}" for name, value in more.items()))
        for preset, splits in SPLIT_SETTINGS.items()
        for split, more in splits.items()
    ]
    parts = [_preset_table(small), _preset_table(papers), table(("preset", "with `--split`", "sets"), by_split)]
    return "\n\n".join(parts)


def _preset_table(names: Sequence[str]) -> str:
    chosen = [PRESETS[name] for name in names]
    settings = ["data", *(name for name in FIELDS if any(name in values for values in chosen) and name != "data")]
    others = defaults() | {"data": "must be given"}
    rows = [
        (code(flag_of(name)), *(shown(values.get(name, others[name])) or "-" for values in chosen)) for name in settings
    ]
    return table(("", *map(code, names)), rows)


def recipes() -> str:
    """Returns a table of the settings in which the recipes differ, with what the supplement and the code say."""
    of_presets = {name: preset for of in RECIPE_SETTINGS.values() for preset, more in of.items() for name in more}
    names = [name for name in FIELDS if name in RECIPES["supplement"] or name in of_presets]
    if missing := set(names) ^ set(_SAID):
        raise PluginError(f"_SAID and the recipes differ in {', '.join(sorted(missing))}")
    rows = []
    for name in names:
        preset = of_presets.get(name, "scenes")
        flag = code(flag_of(name)) + (f" (preset {code(preset)})" if name in of_presets else "")
        said, done, why = _SAID[name]
        taken = [shown(switches(preset, recipe)[name]) or "not set" for recipe in RECIPES]
        rows.append((flag, said, done, *taken, why))
    headings = ("setting", "the supplement says", "the published code", *(code(name) for name in RECIPES))
    return table((*headings, "why `supplement` differs from the code"), rows)


def code(text: str) -> str:
    """Returns text as inline code."""
    return f"`{text}`"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (headings, ["---"] * len(headings), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


_FILLERS: dict[str, Callable[..., str]] = {
    "flags": flags,
    "commands": command_table,
    "presets": presets,
    "recipes": recipes,
}
