"""What the pages take from the program itself, so that they cannot drift: flags, presets, recipes.

A page says where: `<!-- flags: tsne -->`, `<!-- verbs -->`, `<!-- presets -->`, `<!-- recipes -->`. Links that lead out
of docs/ to a file of the repository (`../analysis/results/x.png`) work in the site too, to a copy under repository/.
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
from psmt_viz.config import FIELDS, Config
from psmt_viz.methods import METHODS
from psmt_viz.presets import PRESETS, RECIPE_SETTINGS, RECIPES, SPLIT_SETTINGS, switches
from psmt_viz.settings import flag_of

_SAID = {
    "labeled_stream": (
        "nothing",
        "draws the views of a labelled image once an epoch and replays them",
        "a side effect of how their loader is cycled, which takes views away",
    ),
    "sup_loss": ("nothing", "builds OHEM and never calls it", "the published results at crop 800 are with OHEM"),
    "teacher_start": (
        "nothing",
        "loads ImageNet weights into the student alone",
        "teachers from scratch need longer trainings than most users have",
    ),
    "pseudo_labels": (
        "nothing",
        "leaves the teachers in training mode, so that their running statistics drift",
        "labels of an image shall not depend on the batch, nor teachers change by looking",
    ),
    "count_padding": ("nothing", "has no mask: padding teaches like any pixel", "there is nothing to see in padding"),
    "ramp": ("Gaussian, exp(-5 (1 - t)^2)", "cosine, (1 - cos(pi t)) / 2", "the supplement"),
    "noise": ("r is Gaussian", "uniform on [-0.5, 0.5)", "the supplement"),
    "xi": ("a small random r, no number", "1e-6", "in float32 such a step is lost to rounding"),
    "norm_floor": (
        "nothing",
        "1e-8, of a gradient that contains xi and one over the images of a call",
        "it leaves next to nothing of eps",
    ),
    "best_by": ("reports the ensemble", "validates Cityscapes by its first teacher alone", "the supplement"),
}
"""Switch of the recipes -> what the supplement says, what the published code does, and why `supplement` differs."""

ROOT = Path(__file__).parent.parent
COPIES = "repository"
_PLACEHOLDER = re.compile(r"^<!-- (\w+)(?:: (\w+))? -->$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?:\.\./)+[^)#\s]+")
_TITLES = {
    "data": "Images and labels",
    "model": "Network",
    "views": "Views of an image",
    "method": "Method",
    "optim": "Optimiser",
    "system": "Everything else",
}
"""Group of settings -> its heading."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the files of the repository that pages link to."""
    for page in list(files.documentation_pages()):
        for target in _LINK.findall(page.content_string):
            if (copied := _outside(target, page.src_uri)) and files.get_file_from_path(f"{COPIES}/{copied}") is None:
                files.append(File.generated(config, f"{COPIES}/{copied}", abs_src_path=str(ROOT / copied)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills placeholders and turns links out of docs/ to the copies."""

    def turned(match: re.Match[str]) -> str:
        copied = _outside(match[0], page.file.src_uri)
        return posixpath.relpath(f"{COPIES}/{copied}", posixpath.dirname(page.file.src_uri)) if copied else match[0]

    def filled(match: re.Match[str]) -> str:
        what, of = match.groups()
        if what not in _FILLERS:
            raise PluginError(f"{page.file.src_uri}: nothing fills {match[0]}")
        return _FILLERS[what](*([of] if of else []))

    return _PLACEHOLDER.sub(filled, _LINK.sub(turned, markdown))


def _outside(target: str, page: str) -> str:
    """Returns the path in the repository of a link that leaves docs/, else nothing."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return path if not path.startswith(("docs/", "../")) and (ROOT / path).is_file() else ""


def flags(verb: str) -> str:
    """Returns a table of a verb's arguments and flags; several, by group, where they come from settings."""
    if verb not in verbs():
        raise PluginError(f"no verb {verb}")
    own = [each for each in app[verb].assemble_argument_collection() if each.parse and each.show]
    settings = {flag_of(name): group for name, group in FIELDS.items()} if verb == "train" else {}
    parts = [_flag_table(each for each in own if each.name not in settings)]
    for group, title in _TITLES.items() if settings else ():
        table = _flag_table(each for each in own if settings.get(each.name) == group)
        parts.append(f"### {title}\n\n{table}")
    return "\n\n".join(parts)


def _flag_table(arguments: Iterable[Argument]) -> str:
    rows = [(_spelt(each), _values(each), _left_out(each), " ".join((each.parameter.help or "").split()))
            for each in arguments]  # fmt: skip
    return table(("flag", "value", "left out", "what it does"), rows)


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


def _left_out(argument: Argument) -> str:
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


def verbs() -> list[str]:
    """Returns the names of all verbs."""
    return [name for name in app if not name.startswith("-")]


def verb_table() -> str:
    """Returns a table of all verbs, each with a link to its page and its first sentence."""
    rows = [(f"[{code(name)}]({name}.md)", _purpose(app[name])) for name in verbs()]
    return table(("verb", "what it does"), rows)


def _purpose(verb: App) -> str:
    return " ".join(verb.help.split())


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
        (code(flag_of(name)), *(shown(values.get(name, others[name])) or "-" for values in chosen))
        for name in settings
    ]
    return table(("", *map(code, names)), rows)


def recipes() -> str:
    """Returns a table of every switch in which the recipes differ: what is said, done and taken, and why."""
    of_presets = {name: preset for of in RECIPE_SETTINGS.values() for preset, more in of.items() for name in more}
    names = [name for name in FIELDS if name in RECIPES["supplement"] or name in of_presets]
    if missing := set(names) ^ set(_SAID):
        raise PluginError(f"what the supplement and the code say of {', '.join(sorted(missing))}")
    rows = []
    for name in names:
        preset = of_presets.get(name, "scenes")
        flag = code(flag_of(name)) + (f" (preset {code(preset)})" if name in of_presets else "")
        said, done, why = _SAID[name]
        taken = [shown(switches(preset, recipe)[name]) or "left out" for recipe in RECIPES]
        rows.append((flag, said, done, *taken, why))
    headings = ("switch", "the supplement says", "the published code", *(code(name) for name in RECIPES))
    return table((*headings, "why `supplement` differs"), rows)


def code(text: str) -> str:
    """Returns text as inline code."""
    return f"`{text}`"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (headings, ["---"] * len(headings), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


_FILLERS: dict[str, Callable[..., str]] = {
    "flags": flags,
    "verbs": verb_table,
    "presets": presets,
    "recipes": recipes,
}
