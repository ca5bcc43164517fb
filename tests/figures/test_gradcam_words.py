"""What the command says of maps."""

from dataclasses import replace

from psmt_viz.figures.gradcam_words import fewer_images, gradcam_findings
from tests.figures import synthetic


def test_every_number_of_the_table_is_printed_on_the_line_of_its_map() -> None:
    cams = synthetic.cams()
    title, *lines = gradcam_findings(replace(cams, asked={**cams.asked, "images": len(cams.cams)}))
    panels = ("clean", *cams.perturbations)
    assert title.split() == ["image", "class", "map", "mass", "inside", "faithfulness", "change", "moved"]
    assert len(lines) == len(cams.cams) * len(panels)
    for number, line in enumerate(lines):
        row, panel = cams.table.iloc[number // len(panels)], panels[number % len(panels)]
        assert line.startswith(str(row["image"]))
        columns = [f"{name}_{panel}" for name in ("mass", "inside") if f"{name}_{panel}" in row]
        assert [f"{row[name]:.3g}" in line.split() for name in columns] == [True] * len(columns)


def test_fewer_images_than_asked_for_are_told() -> None:
    cams = synthetic.cams()
    count = len(cams.cams)
    more = replace(cams, asked={**cams.asked, "images": count + 3})
    assert fewer_images(more).startswith(f"{count} images of the {count + 3} asked for")
    assert gradcam_findings(more)[-1] == fewer_images(more)
    assert fewer_images(replace(cams, asked={**cams.asked, "images": count})) == ""
