"""The pages and the README: the site is whole, and everything that they tell users to type works."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import documented
import numpy as np
import pandas as pd
import pytest
from commands import PROGRESS, Outcome, Run, runner
from documented import DOCS, ROOT, Block, Command
from filelock import FileLock
from PIL import Image

from psmt_viz.cli import app, main

VERBS = [name for name in app if not name.startswith("-")]


# Stand-ins for what is on a user's disk, at the places that the pages name.


@dataclass
class Place:
    """A user's disk."""

    home: Path
    """What `~` is."""
    things: dict[str, Path]
    """Path on the pages, relative to where the user works -> what is there."""
    made: tuple[object, Outcome]
    """What made the saved results, and what it said."""

    def put(self, words: list[str], folder: Path) -> None:
        """Copies into a folder what words name there, or lies above or beside what they name."""
        for name, thing in self.things.items():
            stem = name.removesuffix(".py")
            if any(word == name or word.startswith((f"{name}/", f"{stem}:")) for word in words):
                copy = shutil.copytree if thing.is_dir() else shutil.copy2
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                copy(thing, folder / name, **({"dirs_exist_ok": True} if thing.is_dir() else {}))
                if name == "my_models.py":
                    for weights in thing.parent.glob("*.pt"):
                        shutil.copy2(weights, folder)


@pytest.fixture(scope="session")
def place(psmt_run: Path, supervised_run: Path, blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    home, shelf = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("shelf")
    (home / "data").mkdir()
    (home / "data" / "mine").symlink_to(blocks_folder)
    shutil.copytree(blocks_folder, home / "VOC2012")
    (home / "VOC2012" / "classes.txt").unlink()  # so that its classes have Pascal VOC's names
    _write_cityscapes(home / "cityscapes")
    things = {"runs/mine": psmt_run, "runs/supervised": supervised_run}
    for seed in range(3):
        things[f"runs/scenes-{seed}"] = _with_seed(psmt_run, shelf / f"scenes-{seed}", seed)
    things["runs/kept"] = shutil.copytree(psmt_run, shelf / "kept")
    shutil.copy2(shelf / "kept" / "last.safetensors", shelf / "kept" / "epoch-0002.safetensors")
    things["runs/official"] = _trained_on_voc(home / "VOC2012", shelf / "official")
    things["lists"] = _lists(blocks_folder, shelf / "lists")
    things |= _own_files(blocks_folder, shelf)
    saved = shelf / "saved"
    words = documented.smaller(["psmt-viz", "figures"])
    arguments = [str(psmt_run) if word == "runs/mine" else word for word in words[1:]]
    outcome = quietly(*arguments, "--out", str(saved))
    made = (documented.meaning(words), replace(outcome, out=outcome.out.replace(str(saved), ".")))
    return Place(home, things | dict.fromkeys(documented.SAVED, saved), made)


def quietly(*arguments: str) -> Outcome:
    """Runs a verb outside a test."""
    out, err = io.StringIO(), io.StringIO()
    with quick_work(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    assert status == 0, err.getvalue()
    return Outcome(status, out.getvalue(), err.getvalue())


def _write_cityscapes(root: Path) -> None:
    """Draws 8 + 2 images of 64 x 48 pixels in which every class occurs."""
    random = np.random.default_rng(0)
    for part, city, count in (("train", "aachen", 8), ("val", "munster", 2)):
        for folder in ("leftImg8bit", "gtFine"):
            (root / folder / part / city).mkdir(parents=True)
        for number in range(count):
            name = f"{city}_{number:06d}_000019"
            image = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            label = np.repeat(random.permutation(np.resize(np.arange(34), 48)).astype(np.uint8)[:, None], 64, axis=1)
            Image.fromarray(image).save(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png")
            Image.fromarray(label).save(root / "gtFine" / part / city / f"{name}_gtFine_labelIds.png")


def _with_seed(run: Path, folder: Path, seed: int) -> Path:
    shutil.copytree(run, folder)
    facts = json.loads((folder / "config.json").read_text())
    facts["config"]["system"]["seed"] = seed
    (folder / "config.json").write_text(json.dumps(facts))
    return folder


def _trained_on_voc(data: Path, folder: Path) -> Path:
    """A run of Pascal VOC's classes, as an imported one is."""
    quietly(*documented.smaller(["psmt-viz", "train"])[1:], "--data", str(data), "--out", str(folder))
    return folder


def _lists(data: Path, folder: Path) -> Path:
    ids = (data / "ImageSets" / "Segmentation" / "train.txt").read_text().split()
    folder.mkdir()
    (folder / "labeled.txt").write_text("\n".join(ids[:4]))
    (folder / "unlabeled.txt").write_text("\n".join(ids[4:]))
    return folder


def _own_files(data: Path, folder: Path) -> dict[str, Path]:
    """Writes the modules of the pages, and weights for the networks of one, trained for a second each."""
    for name, code in documented.files().items():
        (folder / name).write_text(code)
    spec = importlib.util.spec_from_file_location("own_models", folder / "my_models.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    import torch

    from psmt_viz.data import VocFolder
    from psmt_viz.models.inference import as_images

    blocks = VocFolder(data)
    pairs = [(as_images([blocks.image(id)]), torch.from_numpy(blocks.label(id)).long()[None]) for id in
             blocks.ids("train")[:3]]  # fmt: skip
    for seed, name in enumerate(("student", "teacher1", "teacher2")):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = module.Mine()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
        for images, labels in pairs * 25:
            logits = network.decode(network.encode(images), labels.shape[-2:])
            loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.save(network.state_dict(), folder / f"{name}.pt")
    return {name: folder / name for name in documented.files()}


@contextlib.contextmanager
def quick_work() -> Iterator[None]:
    """Empty pictures in place of figures, and maps of a few iterations; both are looked at elsewhere."""
    import openTSNE
    from matplotlib.figure import Figure

    def saved(_: Figure, target: Any, **how: Any) -> None:
        if how.get("format") in ("pdf", "svg"):
            Path(target).write_bytes(b"%")
        else:
            Image.new("RGB", (8, 8), "white").save(target, "PNG")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", saved)
        patch.setattr(Figure, "draw_without_rendering", lambda _: None)
        patch.setattr(openTSNE, "TSNE", partial(openTSNE.TSNE, early_exaggeration_iter=10, n_iter=20))
        yield


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded data set with 16 + 6 images in place of 512 + 128."""
    from psmt_viz.data import opening
    from psmt_viz.data.scenes import Scenes

    class Few(Scenes):
        def __init__(self) -> None:
            super().__init__(train=16, val=6)

    monkeypatch.setattr(opening, "Scenes", Few)


@pytest.fixture
def at_work(
    place: Place,
    few_scenes: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """What runs a verb in an empty folder of the user's."""
    monkeypatch.setenv("HOME", str(place.home))
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    with quick_work():
        yield runner(monkeypatch, tmp_path, capsys)
    for name in {Path(name).stem for name in documented.files()} - before:
        sys.modules.pop(name, None)


# Every command, by kind.


def check(command: Command, run: Run, place: Place) -> None:
    """Does what a command says, or the nearest thing that can be done here."""
    assert command.words[0] in documented.CLASSES, f"what is this? {command}"
    _KINDS[command.words[0]](command, run, place)


def _check_verb(command: Command, run: Run, place: Place) -> None:
    words = documented.smaller(command.words)
    verb, arguments = words[1], [_expanded(word, place) for word in words[1:]]
    if verb in documented.PARSED_ALONE:
        read_flags(arguments)
        return
    if documented.meaning(words) == place.made[0]:
        saved = place.things["figures"]
        _check_files(verb, [path.name for path in saved.iterdir()], place.made[1])
        return
    here = Path.cwd()
    made = _value(words, "--out") if verb == "train" else None
    place.put([word for word in words if made is None or word != made], here)
    before = _stamps(here)
    found = run(*arguments)
    complaints = [line for line in found.err.splitlines() if not PROGRESS.search(line)]
    assert found.status == 0, (str(command), complaints)
    assert not any("error" in line or "Traceback" in line for line in complaints), complaints
    if verb.startswith("--") or "--help" in words:
        return
    new = [name for name, stamp in _stamps(here).items() if before.get(name) != stamp]
    _check_files(verb, new, found)


def _expanded(word: str, place: Place) -> str:
    return str(place.home) + word[1:] if word.startswith("~/") else word


def _value(words: list[str], flag: str) -> str | None:
    return words[words.index(flag) + 1] if flag in words else None


def _stamps(folder: Path) -> dict[str, int]:
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in paths}


def _check_files(verb: str, new: list[str], found: Outcome) -> None:
    """Every file that was written is in the tables of the verb's page, and the last line says where they are."""
    last = found.out.rstrip().splitlines()[-1]
    if not new:
        assert "results:" not in found.out
        return
    folder = last.removeprefix("results: ")
    assert folder != last
    assert Path(folder).exists()
    folder = folder if Path(folder).is_dir() else str(Path(folder).parent)
    told = told_files(verb)
    for name in new:
        assert Path(name).is_relative_to(folder)
        inside = Path(name).relative_to(folder).as_posix()
        of_tracker = inside == "log.jsonl"
        assert documented.matches(inside, told) or of_tracker, f"docs/verbs/{verb}.md does not tell {inside}"


def told_files(verb: str) -> list[str]:
    """The files of a verb's page; `figures` refers to others."""
    others = ("evaluate", "perturb", "tsne", "gradcam", "curves", "table") if verb == "figures" else ()
    return [name for each in (verb, *others) for name in documented.written(each)]


def read_flags(arguments: list[str]) -> None:
    """Reads a verb's flags as the program does, and does nothing."""
    app.parse_args(arguments, exit_on_error=False, print_error=False)


def _check_torchrun(command: Command, run: Run, place: Place) -> None:
    """Reads torchrun's own flags, then plans the training as one of the processes that it would start."""
    from torch.distributed.run import get_args_parser

    options = get_args_parser().parse_args(command.words[1:])
    assert options.module
    assert options.training_script == "psmt_viz.cli"
    here, nodes = int(options.nproc_per_node), int(options.nnodes)
    world = {"WORLD_SIZE": here * nodes, "LOCAL_WORLD_SIZE": here, "RANK": 0, "LOCAL_RANK": 0, "GROUP_RANK": 0}
    world |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 29500, "TORCHELASTIC_RUN_ID": "none"}
    words = documented.smaller(["psmt-viz", *options.training_script_args])
    assert "--dry-run" in words
    with pytest.MonkeyPatch.context() as patch:
        for name, value in world.items():
            patch.setenv(name, str(value))
        found = run(*(_expanded(word, place) for word in words[1:]), "--device", "cpu")
    assert found.status == 0, found.err
    assert f"devices: {here * nodes} x cpu" in found.out


def _check_python(command: Command, run: Run, place: Place) -> None:
    """Lets a script of the project read its arguments, and stops it then."""
    script = ROOT / command.words[1]
    assert script.is_file() and script.is_relative_to(ROOT / "analysis"), f"what is this? {command}"
    spec = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    class Read(Exception):
        pass

    whole = argparse.ArgumentParser.parse_args

    def read(*arguments: Any, **named: Any) -> None:
        whole(*arguments, **named)
        raise Read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", read)
        patch.setattr(sys, "argv", command.words[1:])
        patch.syspath_prepend(script.parent)
        spec.loader.exec_module(module)
        with pytest.raises(Read):
            module.main()


def _check_make(command: Command, run: Run, place: Place) -> None:
    """Asks make what it would do, and reads the flags of the verbs in that."""
    plan = subprocess.run(
        ["make", "--dry-run", *command.words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert plan.returncode == 0, plan.stderr
    for line in plan.stdout.splitlines():
        words = line.split()
        if words and words[0].endswith("bin/psmt-viz"):
            read_flags(words[1:])


def _check_pip(command: Command, run: Run, place: Place) -> None:
    """Looks whether what is to be installed is this project, with extras that it has."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    action, *wanted = command.words[1:]
    assert action == "install"
    for word in wanted:
        if word != "-e":
            found = re.fullmatch(rf"(?:\.|{name['name']})(?:\[([\w,-]+)\])?", word)
            assert found, f"not this project: {command}"
            assert set((found[1] or "").split(",")) <= {"", *name["optional-dependencies"]}, command


def _check_mkdocs(command: Command, run: Run, place: Place) -> None:
    """Reads mkdocs' own flags; the site is built below."""
    from mkdocs.__main__ import cli

    _, verb, *arguments = command.words
    cli.commands[verb].make_context(verb, arguments)


_KINDS: dict[str, Callable[[Command, Run, Place], None]] = {
    "psmt-viz": _check_verb,
    "torchrun": _check_torchrun,
    "python": _check_python,
    "make": _check_make,
    "pip": _check_pip,
    "mkdocs": _check_mkdocs,
}


@pytest.mark.parametrize("command", documented.different(), ids=str)
def test_a_command_works(command: Command, at_work: Run, place: Place) -> None:
    check(command, at_work, place)


def test_the_flags_of_every_command_are_read() -> None:
    # Those that do the same once made smaller are not run; and what is made smaller is not run as it stands.
    for command in documented.commands():
        words = [documented.WORDS.get(word, word) for word in command.words]
        if words[0] == "psmt-viz" and not {"--help", "--version"} & {*words}:
            read_flags(words[1:])


@pytest.mark.parametrize(
    "wrong",
    [
        "psmt-viz tsne --n-pixel 25000",
        "psmt-viz tsne --layout frosen",
        "psmt-viz tsne runs/theirs --n-pixels 25000",
        "psmt-viz evaluate runs/mine --weights epoch-0099",
        "psmt-viz train --preset vok --data ~/VOC2012 --dry-run",
        "psmt-viz import official.pth --outt runs/official",
        "psmt-viz frobnicate",
        "torchrun --nnodes 2 --nproc-per-node 4 -m psmt_viz.cli train --preset cityscapes --dta ~/cityscapes",
        "torchrun --nnodez 2 -m psmt_viz.cli train --preset cityscapes --data ~/cityscapes",
        "python analysis/evidence.py scenes --sedes 0",
        "python analysis/compere.py scenes",
        "make figurs",
        "pip install psmt-viz[imagnet]",
        "pip install psmt-vis",
        "mkdocs serve --strikt",
        "conda install psmt-viz",
    ],
)
def test_a_wrong_command_would_be_seen(
    wrong: str, at_work: Run, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((Exception, SystemExit)):
        check(Command("nowhere", 1, wrong), at_work, place)


def test_every_change_is_of_use() -> None:
    for change in documented.CHANGES:
        assert any(documented.applies(change, command.words) for command in documented.commands()), change


# Code in Python.


@pytest.mark.filterwarnings("ignore::UserWarning")  # of so few images a training says that they are few
@pytest.mark.parametrize(
    "block",
    [block for block in documented.blocks() if block.language == "python" and not block.title],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_code_works(block: Block, at_work: Run, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put([*re.findall(r'"([^"]+)"', block.code), "my_models.py"], tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    exec(compile(block.code, f"{block.page}:{block.line}", "exec"), {"__name__": "block"})


# What the pages say in words.


def test_blocks_say_what_they_are() -> None:
    for block in documented.blocks():
        assert block.language in ("bash", "python", "text"), f"{block.page}:{block.line}: {block.language}"
        if block.page != "README.md" and block.language == "text":
            first = block.code.split(maxsplit=1)[0]
            assert first not in documented.CLASSES, f"{block.page}:{block.line} is a command; call it bash"


@pytest.mark.parametrize("page", documented.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_flags_in_the_text_are_flags(page: Path) -> None:
    known = {"--help", "--version", *(flag for verb in VERBS for flag in flags_of(verb))}
    for span in documented.spans(page.read_text(encoding="utf-8")):
        if span.split()[0] in {*documented.CLASSES} - {"psmt-viz"}:
            continue
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", span):
            assert flag in known, f"{flag} in `{span}`"
        words = span.split()
        if words[0] == "psmt-viz" and len(words) > 1 and words[1][0].isalpha():
            assert words[1] in VERBS, span
            assert {word for word in words if word.startswith("--")} <= {"--help", *flags_of(words[1])}, span


def flags_of(verb: str) -> set[str]:
    """The flags that a verb reads."""
    return {name for each in app[verb].assemble_argument_collection() for name in each.names if each.parse}


def test_every_verb_has_a_page_in_which_all_that_is_written_is_told(place: Place) -> None:
    assert {path.stem for path in (DOCS / "verbs").glob("*.md")} == {*VERBS, "index"}
    saved = place.things["figures"]
    names = {path.name for path in saved.iterdir()}
    told = [name for name in told_files("figures") if not name.startswith("closeup.")]
    assert sorted(told) == sorted(names)


TABLES = {
    "evaluate": ("evaluation.csv", "confusion.csv"),
    "perturb": (
        *("flips.csv", "flips_paired.csv", "flips_by_class.csv", "flips_by_distance.csv", "flips_by_confidence.csv"),
        "flips_confusion.csv",
    ),
    "tsne": ("pixels.parquet", "pixel_images.parquet"),
    "gradcam": ("gradcam.csv",),
    "table": ("table1.csv",),
}


@pytest.mark.parametrize("verb", TABLES)
def test_every_column_is_told(place: Place, verb: str) -> None:
    told = _told_names(verb)
    for name in TABLES[verb]:
        path = place.things["figures"] / name
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        for column in table:
            assert documented.matches(column, told), f"docs/verbs/{verb}.md does not tell {column} of {name}"


def test_columns_of_a_run_and_of_its_curves_are_told(place: Place) -> None:
    told = _told_names("train")
    for name in ("metrics.csv", "timing.csv"):
        for column in pd.read_csv(place.things["runs/mine"] / name):
            assert column in told, column
    assert {*pd.read_csv(place.things["figures"] / "curves.csv")} <= {*told, *_told_names("curves")}


def test_facts_of_a_map_are_told(place: Place) -> None:
    parameters = json.loads((place.things["figures"] / "tsne.json").read_text())["parameters"]
    assert {*parameters} <= {*_told_names("tsne")}


def test_methods_of_maps_are_told() -> None:
    from psmt_viz.probes.cam_methods import METHODS

    assert {*METHODS} <= {*_told_names("gradcam")}


def test_shares_of_faithfulness_are_told() -> None:
    from psmt_viz.probes.cam_faithfulness import SHARES

    *first, last = (f"{100 * share:.0f}" for share in SHARES)
    text = (DOCS / "guide" / "reading.md").read_text(encoding="utf-8")
    assert f"{', '.join(first)} and {last} % of the pixels" in " ".join(text.split())


def test_kinds_of_perturbation_are_told() -> None:
    from psmt_viz.perturb import KINDS

    assert {*KINDS} <= {*_told_names("perturb")}


def _told_names(verb: str) -> list[str]:
    return documented.spans(documented.page_of(verb))


# The site.


class Page(HTMLParser):
    """Links, anchors, resources and code of a page of the site."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.resources: list[str] = []
        self.codes: list[str] = []
        self._in_code = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe", "source", "video", "embed", "object"):
            self.resources += [given[name] for name in ("src", "data", "srcset") if name in given]
        if tag == "link" and given.get("rel") not in ("prev", "next", "canonical", "alternate"):
            self.resources.append(given["href"])
        if tag == "code":
            self._in_code += 1
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.codes[-1] += data


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; tests in several processes share it."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / "site"
    with FileLock(root / "site.lock"):
        if not (root / "site.log").is_file():
            built = subprocess.run(
                [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
                cwd=ROOT,
                env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            (root / "site.log").write_text(f"status {built.returncode}\n{built.stdout}{built.stderr}")
    return folder


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    log = (site.parent / "site.log").read_text()
    assert log.startswith("status 0\n"), log
    assert "WARNING" not in log, log
    assert (site / "index.html").is_file()
    assert not list(site.rglob("*.py"))


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 30
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(("http:", "https:", "mailto:")):
                continue
            target, _, anchor = link.partition("#")
            place = (path.parent / target).resolve() if target else path
            assert place.is_file() or target in (".", ".."), (path, link)
            if anchor and place in pages and anchor != "__codelineno":
                assert anchor in pages[place].anchors, (path, link)


def test_nothing_is_loaded_from_a_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        for resource in Page(path).resources:
            assert not resource.startswith(("http:", "https:", "//")), (path, resource)
    for path in site.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", style), path


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_of_a_verb_has_its_flags(site: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([verb, "--help"])
    told = capsys.readouterr().out
    helped = set(
        re.findall(
            r"(?<![\w-])--[a-z][\w-]*", "\n".join(line[:34] for line in told.splitlines() if line.startswith("│"))
        )
    )
    page = Page(site / "verbs" / f"{verb}.html")
    arguments = app[verb].assemble_argument_collection()
    positional = {name for each in arguments if each.index is not None for name in each.names}
    assert {each.name.removeprefix("--").upper() for each in arguments if each.index is not None} <= {*page.codes}
    for flag in helped - positional:
        assert flag in page.codes, flag
    assert {name for name in flags_of(verb) - positional if name.startswith("--")} <= {*page.codes}


def test_a_name_that_pages_ask_for_and_the_program_has_not_stops_the_build() -> None:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None and spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match="no verb tsnee"):
        hooks.flags("tsnee")


def test_commands_are_found_where_they_are() -> None:
    first = documented.commands()[0]
    line = (ROOT / first.page).read_text().splitlines()[first.line - 1]
    assert first.text == line.strip()
    assert replace(first, text="psmt-viz data # 'quoted'").words == ["psmt-viz", "data"]
