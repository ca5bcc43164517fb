"""The page as a file: what it holds for which results, that nothing gets out of it, and that it is always the same."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bokeh.models import Range1d
from PIL import Image

from psmt_viz.errors import UserError
from psmt_viz.report import write_report
from psmt_viz.results import ROLES, Evaluation, Flips, PixelEmbedding, Saved, ScoreTable, Training
from tests.figures import synthetic
from tests.report import mapped
from tests.report.reading import Page, coarse_report, columns

ORDER = [
    "summary",
    "tsne",
    "gradcam",
    "perturbations",
    "curves",
    "evaluation",
    "reliability",
    "table1",
    "numbers",
    "provenance",
]


@pytest.fixture(scope="module")
def read(html: str) -> Page:
    return Page(html)


# What is there.


def test_everything_in_order(read: Page) -> None:
    assert read.sections() == ORDER


SUBSETS: dict[str, list[str]] = {
    "evaluate": ["summary", "evaluation", "provenance"],
    "curves": ["curves"],
    "table": ["table1"],
    "reliability": ["reliability", "numbers", "provenance"],
    "gradcam": ["gradcam", "numbers", "provenance"],
    "tsne": ["summary", "tsne", "provenance"],
    "perturb": ["summary", "perturbations", "numbers", "provenance"],
    "closeup": ["perturbations", "provenance"],
}


@pytest.mark.parametrize("name", SUBSETS)
def test_one_result_alone_has_its_sections_and_no_other(name: str, everything: Saved, tmp_path: Path) -> None:
    page = Page(coarse_report(Saved.of(everything.results[name]), tmp_path / "index.html").read_text())
    assert page.sections() == SUBSETS[name]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == ["#content", *(f"#{section}" for section in SUBSETS[name])]
    bokeh = any("Bokeh" in text and len(text) > 500_000 for text in page.programs)
    assert bokeh == (name in {"tsne", "curves"})


@pytest.mark.parametrize("saved", [Saved(), Saved.of(Training(runs=()))])
def test_nothing_to_show(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected results to show, got none; give a folder"):
        write_report(saved, tmp_path / "index.html")
    assert not list(tmp_path.iterdir())


def test_the_head_says_run_data_set_and_weights(read: Page) -> None:
    assert "scenes 1_8 data set scenes split 1_8 weights last made with psmt-viz 0.1.0" in read.text


def test_without_a_manifest_a_result_says_what_it_is_of(tmp_path: Path) -> None:
    flips = replace(synthetic.flips(("vat",)), subject={"model": "torchvision:fcn", "dataset": "camvid"})
    page = Page(coarse_report(Saved.of(flips), tmp_path / "index.html").read_text())
    assert "torchvision:fcn data set camvid" in page.text


def test_key_numbers(read: Page, everything: Saved) -> None:
    scores = everything.get(Evaluation).table().set_index("role")["miou"]
    assert f"the student {100 * scores['student']:.2f} %, teacher 1 {100 * scores['teacher1']:.2f} %" in read.text
    row = (
        everything.get(Flips)
        .flips.query("kind == 'vat' and judge == 'student' and eps == 2 and norm == 'image'")
        .iloc[0]
    )
    assert row["flip_rate"] == pytest.approx(0.0014, rel=1e-3)
    count = f"{row['flipped_pixels']:,}"
    assert f"VAT turns {count} (0.140 %) wrong" in read.text
    bounds = f"{100 * row['flip_rate_low']:.3f} to {100 * row['flip_rate_high']:.3f} %"
    assert f"VAT {count} of 3,000,000 (0.140 %) {bounds}" in read.text


def test_key_numbers_say_what_both_flip_and_what_one_alone(read: Page, everything: Saved) -> None:
    wrong = [everything.get(PixelEmbedding).flipped(panel) for panel in ("vat", "tvat")]
    both = sum(map(all, zip(*wrong, strict=True)))
    assert 0 < both < 40
    text = (
        "Of 25,000 correct pixels on the t-SNE map, 40 after VAT and 55 after T-VAT are flipped: "
        f"{both} by both, {40 - both} by VAT alone and {55 - both} by T-VAT alone."
    )
    assert text in read.text
    legend = f"flipped by both {both} flipped by VAT alone {40 - both} flipped by T-VAT alone {55 - both}"
    assert legend in read.text


@pytest.mark.parametrize(("images", "there"), [(1449, True), (1448, False)])
def test_published_scores_stand_beside_pascal_voc_alone(images: int, there: bool, tmp_path: Path) -> None:
    subject = {"dataset": "mine", "split": "1_8"}
    scores = synthetic.evaluation(synthetic.VOC, subject=subject, asked={"part": "val"}, used={"images": images})
    saved = Saved.of(scores, ScoreTable.of([("mine", scores)]))
    text = Page(coarse_report(saved, tmp_path / "index.html").read_text()).text
    found = ("75.59 %" in text, "75.70 %" in text, "published PS-MT, DeepLabV3+ ResNet-50" in text)
    assert found == (there, there, there)


def test_the_median_move_is_compared_with_the_placement_error(read: Page, tmp_path: Path) -> None:
    words = "Median move, of the map's longer side: VAT 0.0150 %, within the placement error (0.0180 %); T-VAT 0.0200 %"
    assert f"{words}, 0.0020 % beyond it." in read.text
    small = mapped.embedding(20)
    page = coarse_report(Saved.of(replace(small, measured={})), tmp_path / "index.html")
    assert "Median move" not in Page(page.read_text()).text


def test_panels_count_flips_with_the_interval_where_it_is_known(read: Page) -> None:
    assert "original 0 of 25,000 (0 %) flipped 95 % interval 0 to 0 %" in read.text
    assert "+ VAT 40 of 25,000 (0.160 %) flipped 95 % interval 0.110 to 0.220 %" in read.text
    assert "+ T-VAT 55 of 25,000 (0.220 %) flipped" in read.text


def test_warnings_are_said(read: Page) -> None:
    assert "T-VAT as published: the search's step leaves 97 % of the features unchanged" in read.text


def test_flipped_pixels_are_a_table(read: Page, everything: Saved) -> None:
    embedding, names = everything.get(PixelEmbedding), everything.get(PixelEmbedding).classes
    wrong = embedding.flipped("vat") | embedding.flipped("tvat")
    assert f"The {wrong.sum()} flipped pixels" in read.text
    for row in embedding.pixels[wrong].itertuples():
        cells = (
            row.image,
            row.row,
            row.col,
            *(names[i] for i in (row.label, row.pred_clean, row.pred_vat, row.pred_tvat)),
            {(True, True): "both", (True, False): "VAT alone", (False, True): "T-VAT alone"}[
                row.pred_vat != row.label, row.pred_tvat != row.label
            ],
        )
        assert " ".join(map(str, cells)) in read.text


def test_all_rows_of_flips_are_there(html: str, everything: Saved) -> None:
    table = html[html.index("Flips (flips.csv)") : html.index('id="provenance"')]
    assert table.count("<tr>") - 1 == len(everything.get(Flips).flips)
    assert f"{len(everything.get(Flips).flips):,} rows" in table


def test_table_1_shows_the_range_over_seeds(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [
            {"source": "mean", "run": "a", "dataset": "d", "split": "1/8", "runs": 3, "ensemble": 71.234,
             "ensemble_low": 70.1, "ensemble_high": 72.0, "student": np.nan, "benchmark": "e"},
            {"source": "published", "run": "b", "dataset": "d", "split": "1/8", "ensemble": 75.7, "student": 1.0,
             "benchmark": "e"},
        ]
    )  # fmt: skip
    text = Page(coarse_report(Saved.of(ScoreTable(scores=table)), tmp_path / "index.html").read_text()).text
    assert "mean a d 1/8 3 71.23 (70.10 to 72.00) –" in text
    assert "published b d 1/8 – 75.70 1.00" in text
    assert "benchmark" not in text
    alone = coarse_report(
        Saved.of(ScoreTable(scores=table.drop(columns="benchmark"))), tmp_path / "older.html"
    ).read_text()
    assert "75.70" not in Page(alone).text


def test_provenance_holds_every_fact(read: Page) -> None:
    for fact in ("config.json " + "ab" * 32, "python 3.11.7", "sweep 0.5, 2", "layout frozen"):
        assert fact in read.text


# The numbers of the plots.


def test_points_decode_to_the_values_of_the_table(read: Page, everything: Saved) -> None:
    embedding = everything.get(PixelEmbedding)
    found, facts = columns(read.json("map-plots"), "points"), read.json("map-facts")
    ids = np.array([image["id"] for image in facts["images"]])
    frame = pd.DataFrame({name: values for name, values in found.items() if name != "image"})
    frame["image"] = ids[found["image"]]
    exact = ["image", "row", "col", "label", "pred_clean", "pred_vat", "pred_tvat"]
    places = [f"{axis}_{panel}" for panel in embedding.panels for axis in "xy"]
    expected = embedding.pixels.astype(dict.fromkeys(places, np.float32))
    names = [*exact, *places]
    frame, expected = (table[names].sort_values(names, ignore_index=True) for table in (frame, expected))
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False, check_exact=True)


def test_points_are_stored_in_few_bytes(read: Page) -> None:
    dtypes = {name: values.dtype.name for name, values in columns(read.json("map-plots"), "points").items()}
    whole = ("image", "row", "col", "label", "pred_clean", "pred_vat", "pred_tvat")
    assert {dtypes.pop(name) for name in whole} == {"uint8"}
    assert set(dtypes.values()) == {"float32"}


def test_wide_images_and_many_of_them_are_counted_exactly(tmp_path: Path) -> None:
    small = mapped.embedding(200, images=300)
    pixels = small.pixels.assign(row=np.arange(1000), col=70_000 - np.arange(1000))
    images = small.images.assign(height=1000, width=70_001)
    page = coarse_report(Saved.of(replace(small, pixels=pixels, images=images)), tmp_path / "index.html")
    found = columns(Page(page.read_text()).json("map-plots"), "points")
    assert sorted(found["row"]) == list(range(1000))
    assert sorted(found["col"]) == list(range(69_001, 70_001))
    assert found["image"].max() > 255


def test_no_class_is_drawn_over_all_others(read: Page) -> None:
    labels = columns(read.json("map-plots"), "points")["label"]
    assert [sorted(labels[place : place + 5]) for place in range(0, 25_000, 5)] == [sorted(mapped.LABELS)] * 5000


def test_steps_name_the_flipped_pixels(read: Page, everything: Saved) -> None:
    found, steps = columns(read.json("map-plots"), "points"), read.json("map-facts")["flipped"]
    wrong = (found["pred_vat"] != found["label"]) | (found["pred_tvat"] != found["label"])
    assert sorted(steps) == np.flatnonzero(wrong).tolist()
    # In the order of the table below the map.
    embedding = everything.get(PixelEmbedding)
    first = embedding.pixels[embedding.flipped("vat") | embedding.flipped("tvat")].iloc[0]
    assert (found["row"][steps[0]], found["col"][steps[0]]) == (first["row"], first["col"])


def test_each_picture_is_stored_once(html: str, everything: Saved) -> None:
    for jpeg in everything.get(PixelEmbedding).images["jpeg"]:
        assert html.count(b64encode(jpeg).decode()) == 1


def test_a_missing_picture_is_said(tmp_path: Path) -> None:
    small = mapped.embedding(10, images=3)
    lacking = replace(small, images=small.images.iloc[1:])
    with pytest.raises(UserError, match=r"a picture of image val_0000, got none; run psmt-viz tsne again"):
        write_report(Saved.of(lacking), tmp_path / "index.html")


def test_curves_are_the_mean_and_range_over_seeds(read: Page, everything: Saved) -> None:
    plots = read.json("curves-plots")
    names = [chart["id"] for chart in read.json("curves-facts")]
    assert names == ["miou", "loss", "confident", "distance", "disagreement", "rate", "weight", "ramp"]
    tables = [run.metrics for run in everything.get(Training).runs]
    for number, role in enumerate(("ensemble", "teacher2", "teacher1", "student")):
        found = columns(plots, f"miou-{number}")
        scores = 100 * np.array([table[f"miou_{role}"] for table in tables])
        np.testing.assert_allclose(found["mean"], scores.mean(0), rtol=1e-12)
        np.testing.assert_array_equal(found["min"], scores.min(0))
        np.testing.assert_array_equal(found["max"], scores.max(0))
        np.testing.assert_array_equal(found["epoch"], tables[0]["epoch"])
        np.testing.assert_array_equal(found["images"], 40 * 16 * tables[0]["epoch"])


def test_the_ramp_up_has_both_published_forms(read: Page) -> None:
    plots = read.json("curves-plots")
    used, other = (columns(plots, f"ramp-{number}") for number in (0, 1))
    t = np.minimum(used["iteration"] / 480, 1)
    np.testing.assert_allclose(used["mean"], 1.5 * np.exp(-5 * (1 - t) ** 2), rtol=1e-12)
    np.testing.assert_allclose(other["mean"], 1.5 * (1 - np.cos(np.pi * t)) / 2, rtol=1e-12, atol=1e-15)
    assert "Gaussian (paper)" in read.text
    assert "cosine (published code), not used" in read.text


@pytest.mark.parametrize(("images", "there"), [(0, False), (16, True)])
def test_images_are_offered_where_they_are_known(images: int, there: bool, tmp_path: Path) -> None:
    run = replace(synthetic.curves(), images_per_step=images)
    page = coarse_report(Saved.of(Training(runs=(run,))), tmp_path / "index.html").read_text()
    assert ('data-over="images"' in page) == there


def test_teachers_are_compared_where_they_were_measured(tmp_path: Path) -> None:
    run = synthetic.curves()
    teachers = {"teacher_distance": 0.1, "teacher_disagreement": 0.02}
    plain = run.metrics.drop(columns=list(teachers), errors="ignore")
    for metrics, there in ((plain.assign(**teachers), True), (plain, False)):
        training = Training(runs=(replace(run, metrics=metrics),))
        page = Page(coarse_report(Saved.of(training), tmp_path / "index.html").read_text())
        charts = {chart["id"] for chart in page.json("curves-facts")}
        assert ({"distance", "disagreement"} <= charts) == there
        if there:
            assert columns(page.json("curves-plots"), "disagreement-0")["mean"] == pytest.approx(2.0)


# Nothing gets in or out.


def test_the_policy_lets_these_scripts_run_and_nothing_load(read: Page) -> None:
    (policy,) = [
        attrs["content"] for tag, attrs in read.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]  # fmt: skip
    rules = {rule.split()[0]: rule.split()[1:] for rule in str(policy).split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:", "blob:"]
    hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in read.programs]
    assert rules.pop("script-src") == hashes
    assert len(hashes) >= 6
    assert set(rules) == {"default-src", "img-src", "style-src", "base-uri", "form-action"}


def test_the_policy_comes_before_anything_it_rules(read: Page) -> None:
    names = [attrs.get("http-equiv") or tag for tag, attrs in read.tags]
    assert names.index("Content-Security-Policy") < min(map(names.index, ("script", "style", "link", "img")))


def test_no_tag_loads_anything(read: Page) -> None:
    loading = ("src", "href", "srcset", "action", "data", "poster", "formaction", "background", "xlink:href")
    addresses = [str(attrs[name]) for _, attrs in read.tags for name in loading if name in attrs]
    assert len(addresses) > 20
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    assert [tag for tag, _ in read.tags if tag in {"iframe", "object", "embed", "base", "video", "audio"}] == []
    assert [style for style in read.styles if re.search(r"url\(|@import", style)] == []


def test_no_address_is_written_outside_bokeh(read: Page, html: str) -> None:
    bokeh = max(read.programs, key=len)
    rest = html.replace(bokeh, "").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", rest)


NASTY = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"&'",
    "$x$",
    "<!--<script>",
    "a\u2028b",
    "\\u003c",
)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page in which every name from data is an attack."""
    flips = synthetic.flips(("vat", NASTY[0], NASTY[3]), judges=ROLES[:2], classes=NASTY)
    flips.flips["judge"] = flips.flips["judge"].replace("teacher1", NASTY[1])
    saved = Saved.of(
        synthetic.evaluation(NASTY, subject={"dataset": NASTY[1], "split": NASTY[2]}),
        Training(runs=(synthetic.curves(name=NASTY[0]), synthetic.curves(name=NASTY[1]))),
        synthetic.cams(classes=NASTY * 3),
        mapped.embedding(20, classes=NASTY, ids=NASTY),
        flips,
        replace(synthetic.closeup(classes=NASTY), image_id=NASTY[1]),
        manifest={"run": {"run": NASTY[1], "dataset": NASTY[0]}, "versions": {NASTY[0]: NASTY[1]}},
    )
    return coarse_report(saved, tmp_path_factory.mktemp("nasty") / "index.html").read_text(encoding="utf-8")


def test_names_stay_text(nasty: str, html: str) -> None:
    page, plain = Page(nasty), Page(html)
    assert [attrs for tag, attrs in page.tags if tag == "img" and attrs.get("src") == "x"] == []
    assert [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)] == []
    assert page.programs == plain.programs
    for name in NASTY:
        assert " ".join(name.split()) in page.text
    assert r"\$" not in page.text
    assert [c["name"] for c in page.json("map-facts")["classes"]] == list(NASTY)
    assert {image["id"] for image in page.json("map-facts")["images"]} == set(NASTY)


def test_bokeh_is_given_no_text_from_data(nasty: str) -> None:
    """It would read mathematics between dollars, and ask the network for what draws it."""
    page = Page(nasty)
    for id in ("map-plots", "curves-plots"):
        text = str(page.json(id))
        assert [name for name in NASTY if name in text] == []


# Files.


def test_equal_results_give_an_equal_file(everything: Saved, tmp_path: Path) -> None:
    small = mapped.embedding(200)
    few = [everything.results[name] for name in ("curves", "closeup")]
    first = coarse_report(Saved.of(small, *few), tmp_path / "first.html").read_bytes()
    for _ in range(7):
        Range1d()  # bokeh numbers every model of a process
    assert coarse_report(Saved.of(small, *few), tmp_path / "second.html").read_bytes() == first
    moved = replace(small, pixels=small.pixels.assign(x_clean=0.0))
    assert coarse_report(Saved.of(moved, *few), tmp_path / "third.html").read_bytes() != first


def test_a_page_of_everything_is_small(everything: Saved, tmp_path: Path) -> None:
    """At full resolution: 25,000 points, 128 images and every exhibit below 8 MB."""
    large = Saved.of(*everything.results.values(), synthetic.flips(judges=ROLES), synthetic.closeup())
    path = write_report(large, tmp_path / "index.html")
    assert path == tmp_path / "index.html"
    assert 2_500_000 < path.stat().st_size < 8_000_000


def test_figures_are_stored_at_twice_the_size_at_which_they_are_read(everything: Saved, tmp_path: Path) -> None:
    page = Page(write_report(Saved.of(everything.results["evaluate"]), tmp_path / "index.html").read_text())
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert [attrs["class"] for attrs in images] == ["on-light", "on-dark"] * 2
    papers = set()
    for attrs in images:
        assert attrs["alt"]
        with Image.open(BytesIO(b64decode(str(attrs["src"]).split(",")[1]))) as picture:
            assert picture.width == pytest.approx(2 * int(str(attrs["width"])), abs=1)
            assert picture.height == pytest.approx(2 * int(str(attrs["height"])), abs=1)
            papers.add((attrs["class"], picture.convert("RGB").getpixel((1, 1))))
    assert papers == {("on-light", (255, 255, 255)), ("on-dark", (0x14, 0x17, 0x1B))}
