import numpy as np
import pytest
from PIL import Image

from psmt_viz.data import checks, open_data
from psmt_viz.data.cityscapes import CITYSCAPES_CLASSES, CityscapesFolder, CityscapesLayout
from psmt_viz.data.voc import VocLayout
from psmt_viz.errors import UserError

# Class name -> id in the labelIds files, as the data set's authors list them.
SCORED = {
    **{"road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19},
    **{"traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26},
    **{"truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33},
}
PARTS = {
    "train": [("aachen", "aachen_000000_000019"), ("aachen", "aachen_000001_000019"), ("bochum", "bochum_000000_0003")],
    "val": [("munster", "munster_000000_000019")],
}


def check(root, **options):
    """The table of faults."""
    return checks.check(root, **options).faults


def raw(seed):
    """A mask in which every one of the 34 label ids occurs, and 255 (the licence plate's -1)."""
    mask = np.random.default_rng(seed).permutation(np.resize([*range(34), 255], 12 * 24))
    return mask.reshape(12, 24).astype(np.uint8)


def write(root, *, ending="_gtFine_labelIds.png"):
    number = 0
    for part, images in PARTS.items():
        for city, name in images:
            for top in ("leftImg8bit", "gtFine"):
                (root / top / part / city).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(100 + number).integers(0, 256, (12, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png")
            Image.fromarray(raw(number)).save(root / "gtFine" / part / city / f"{name}{ending}")
            number += 1


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "city"
    write(folder)
    return folder


def test_the_tree_is_read_whole(root):
    data = open_data(str(root))
    assert isinstance(data.layout, CityscapesLayout)
    assert data.classes == tuple(SCORED) == CITYSCAPES_CLASSES
    assert data.ids("train") == tuple(f"train/{city}/{name}" for city, name in PARTS["train"])
    assert data.ids("val") == ("val/munster/munster_000000_000019",)
    image = data.image("train/bochum/bochum_000000_0003")
    np.testing.assert_array_equal(image, np.random.default_rng(102).integers(0, 256, (12, 24, 3), dtype=np.uint8))
    split = data.split("1_2")
    assert len(split.labeled) == 2 and set(split.labeled + split.unlabeled) == set(data.ids("train"))


def test_label_ids_become_training_ids_pixel_by_pixel(root):
    data, names = CityscapesFolder(root), list(SCORED)
    for number, id in enumerate([*data.ids("train"), *data.ids("val")]):
        found, source = data.label(id), raw(number)
        for place in np.ndindex(source.shape):
            matching = [index for index, name in enumerate(names) if SCORED[name] == source[place]]
            assert found[place] == (matching[0] if matching else 255)
        assert set(np.unique(found)) == {*range(19), 255}


def test_masks_with_training_ids_are_taken_as_they_are(root, tmp_path):
    other = tmp_path / "trained"
    write(other, ending="_gtFine_labelTrainIds.png")
    data = CityscapesFolder(other)
    id = data.ids("train")[0]
    path = other / "gtFine" / f"{id}_gtFine_labelTrainIds.png"
    wanted = CityscapesFolder(root).label(id)
    Image.fromarray(wanted).save(path)
    np.testing.assert_array_equal(data.label(id), wanted)


def test_kept_classes_get_new_ids(root):
    data = open_data(str(root), classes=("car", "road"))
    whole, few = CityscapesFolder(root).label(data.ids("val")[0]), data.label(data.ids("val")[0])
    for index, name in enumerate(("car", "road")):
        assert ((few == index) == (whole == CITYSCAPES_CLASSES.index(name))).all()
    assert ((few == 255) == ~np.isin(whole, [CITYSCAPES_CLASSES.index(name) for name in ("car", "road")])).all()


def test_the_authors_lists_give_paths(root, tmp_path):
    def lines(images):
        return "".join(
            f"leftImg8bit/train/{city}/{name}_leftImg8bit.png gtFine/train/{city}/{name}_gtFine_labelIds.png\n"
            for city, name in images
        )

    (tmp_path / "labeled.txt").write_text(lines(PARTS["train"][:1]))
    (tmp_path / "unlabeled.txt").write_text(lines(PARTS["train"][1:]))
    data = open_data(str(root), labeled_list=tmp_path / "labeled.txt", unlabeled_list=tmp_path / "unlabeled.txt")
    split = data.split("whatever")
    assert split.labeled == ("train/aachen/aachen_000000_000019",)
    assert split.unlabeled == tuple(f"train/{city}/{name}" for city, name in PARTS["train"][1:])
    np.testing.assert_array_equal(
        data.label(split.labeled[0]), CityscapesFolder(root).label("train/aachen/aachen_000000_000019")
    )
    (tmp_path / "labeled.txt").write_text("leftImg8bit/../../secret.png gtFine/x_gtFine_labelIds.png\n")
    with pytest.raises(UserError, match="a path inside the data set's folder"):
        open_data(str(root), labeled_list=tmp_path / "labeled.txt", unlabeled_list=tmp_path / "unlabeled.txt")


@pytest.mark.parametrize(
    "line",
    [
        "train/bochum/bochum_000000_0003",
        "bochum_000000_0003",
        "bochum_000000_0003_leftImg8bit.png",
        "/leftImg8bit/train/bochum/bochum_000000_0003_leftImg8bit.png",
    ],
)
def test_lists_know_an_image_by_one_id_however_it_is_written(root, tmp_path, line):
    (tmp_path / "labeled.txt").write_text(f"{line}\n")
    (tmp_path / "unlabeled.txt").write_text("aachen_000000_000019\naachen_000001_000019\n")
    options = {"labeled_list": tmp_path / "labeled.txt", "unlabeled_list": tmp_path / "unlabeled.txt"}
    data, whole = open_data(str(root), **options), CityscapesFolder(root)
    assert data.split("1_8").labeled == ("train/bochum/bochum_000000_0003",)
    assert sorted(data.ids("train")) == sorted(whole.ids("train"))
    np.testing.assert_array_equal(data.label("train/bochum/bochum_000000_0003"), raw_as_classes(2))
    assert set(check(root, **options)["severity"]) <= {"warning"}


def raw_as_classes(seed):
    order = [*SCORED.values()]
    return np.vectorize(lambda value: order.index(value) if value in order else 255)(raw(seed)).astype(np.uint8)


def test_a_list_that_trains_on_validation_images_is_found(root, tmp_path):
    name = "munster_000000_000019"
    line = f"leftImg8bit/val/munster/{name}_leftImg8bit.png gtFine/val/munster/{name}_gtFine_labelIds.png\n"
    (tmp_path / "labeled.txt").write_text(line)
    (tmp_path / "unlabeled.txt").write_text("aachen_000000_000019\n")
    found = check(root, labeled_list=tmp_path / "labeled.txt", unlabeled_list=tmp_path / "unlabeled.txt")
    assert found.set_index("kind").loc["train and val overlap", "found"] == f"1: val/munster/{name}"


def test_a_file_that_only_looks_like_an_image_is_left_out(root):
    (root / "leftImg8bit" / "val" / "munster" / "._munster_000000_000019_leftImg8bit.png").write_bytes(b"resource fork")
    assert CityscapesFolder(root).ids("val") == ("val/munster/munster_000000_000019",)


def test_the_folder_above_is_told_the_way(root):
    with pytest.raises(UserError, match=rf"give {root} instead"):
        open_data(str(root.parent))


def test_other_folders_are_still_vocs(blocks_folder):
    data = open_data(str(blocks_folder))
    assert type(data.layout) is VocLayout


def remove(root, pattern):
    for path in root.glob(pattern):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "gtFine").rename(root / "elsewhere"),
            r"a folder gtFine in .*city, got no such folder; unpack",
        ),
        (
            lambda root: remove(root, "leftImg8bit/val/*/*.png"),
            r"images CITY/\*_leftImg8bit.png in .*val, got none; unpack",
        ),
    ],
)
def test_trees_that_are_not_whole(root, spoil, message):
    spoil(root)
    with pytest.raises(UserError, match=message):
        open_data(str(root))


def test_checks_lists_every_fault_of_a_tree(root):
    assert check(root).empty
    train = root / "gtFine" / "train"
    remove(root, "gtFine/train/bochum/*labelIds.png")
    bad = raw(0)
    bad[0, 0] = 77
    Image.fromarray(bad).save(train / "aachen" / "aachen_000000_000019_gtFine_labelIds.png")
    Image.fromarray(raw(1)[:-1]).save(train / "aachen" / "aachen_000001_000019_gtFine_labelIds.png")
    (root / "leftImg8bit" / "val" / "munster" / "munster_000000_000019_leftImg8bit.png").write_bytes(b"no image")
    found = check(root).set_index("kind")
    assert set(found.index[found["severity"] == "error"]) == {
        *("missing mask", "unknown ids in mask", "size mismatch", "unreadable image")
    }
    assert "77" in found.loc["unknown ids in mask", "found"]
    assert "labelIds" in found.loc["unknown ids in mask", "fix"]
    assert found.loc["missing mask", "where"] == "gtFine/train/bochum/bochum_000000_0003_gtFine_labelIds.png"
    assert "24 x 11" in found.loc["size mismatch", "found"]
    with pytest.raises(UserError, match="ids 0 to 33 and 255, got 77 on"):
        CityscapesFolder(root).label("train/aachen/aachen_000000_000019")


def test_training_ids_end_at_18(tmp_path):
    write(tmp_path, ending="_gtFine_labelTrainIds.png")  # holds label ids, up to 33
    assert set(check(tmp_path)["kind"]) == {"unknown ids in mask"}
    with pytest.raises(UserError, match="ids 0 to 18 and 255, got 19, 20, "):
        CityscapesFolder(tmp_path).label("train/aachen/aachen_000000_000019")


def test_checks_finds_a_part_without_images(root):
    remove(root, "leftImg8bit/train/*/*.png")
    found = check(root).set_index("kind")
    assert found.loc["empty list", "where"] == "leftImg8bit/train"
    assert found.loc["empty list", "fix"] == "unpack leftImg8bit/train of Cityscapes"
