import pytest

from psmt_viz.config import FIELDS, Config
from psmt_viz.errors import UserError
from psmt_viz.methods import METHODS
from psmt_viz.presets import PRESETS, RECIPE_SETTINGS, RECIPES, SMOKE, SPLIT_SETTINGS, configure, smoke


def resolve(preset, **values):
    return configure(preset, {"data": "a folder", **values})


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_resolve_and_set_what_they_say(preset):
    config = resolve(preset)
    assert config.preset == preset
    got = config.flat()
    assert set(got) == {name for name in FIELDS if config.has(name)}
    for name, value in {**PRESETS[preset], "data": "a folder"}.items():
        owner = got if name in got else configure(preset, {"data": "a folder", "method": "mean_teacher"}).flat()
        assert owner[name] == value, name
    untouched = Config().flat()
    for name in set(got) - set(PRESETS[preset]) - {"data"}:
        assert got[name] == untouched[name], name


def test_given_values_win_over_the_preset():
    assert PRESETS["scenes"]["crop"] != 64
    config = configure("scenes", {"crop": 64, "lr": 0.5})
    assert (config.views.crop, config.optim.lr) == (64, 0.5)
    assert config.method.epochs == PRESETS["scenes"]["epochs"]


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"scenes"}))
def test_presets_of_real_data_ask_for_it(preset):
    with pytest.raises(UserError, match=f"the folder that holds {preset}'s images, got none; give it with --data DIR"):
        configure(preset, {})


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_recipe_sets_its_switches_whatever_the_preset(preset, recipe):
    config = configure(preset, {"data": "a folder"}, recipe=recipe)
    assert config.recipe == recipe
    got, sound = config.flat(), resolve(preset).flat()
    assert {name: got[name] for name in RECIPES[recipe]} == RECIPES[recipe]
    switches = {*RECIPES[recipe], *RECIPE_SETTINGS.get(recipe, {}).get(preset, {})}
    assert {name for name in got if got[name] != sound[name]} <= switches


def test_the_recipes_set_the_same_switches_and_differ_in_each():
    supplement, published = RECIPES["supplement"], RECIPES["official-code"]
    assert set(RECIPES) == {"supplement", "official-code"}
    assert supplement.keys() == published.keys()
    assert all(supplement[name] != published[name] for name in supplement)
    assert {name: Config().flat()[name] for name in supplement} == supplement


@pytest.mark.parametrize("name", RECIPES["supplement"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_switch_set_alone_wins_over_the_recipe(recipe, name):
    (other,) = set(RECIPES) - {recipe}
    value = RECIPES[other][name]
    config = configure("scenes", {name: value}, recipe=recipe)
    assert config.flat() == configure("scenes", {}, recipe=recipe).flat() | {name: value}
    assert config.flat()[name] != RECIPES[recipe][name]


def test_unknown_recipes_are_refused():
    with pytest.raises(UserError, match=r"--recipe one of supplement, official-code, got 'paper'; choose one"):
        configure("scenes", {}, recipe="paper")


@pytest.mark.parametrize(
    ("preset", "split", "expected"),
    [
        ("voc", "1_16", {"epochs": 80, "unsup_weight": 1.5}),
        ("voc", "1_8", {"epochs": 80}),
        ("voc", "1_4", {"epochs": 200}),
        ("voc", "1_2", {"epochs": 300, "unsup_weight": 1.5}),
        ("voc-classic", None, {"split": "732", "epochs": 80, "unsup_weight": 0.6}),
        ("voc-classic", "92", {"epochs": 80, "unsup_weight": 0.06}),
        ("voc-classic", "183", {"epochs": 80, "unsup_weight": 0.6}),
        ("voc-classic", "1464", {"epochs": 80, "unsup_weight": 0.6}),
        ("cityscapes", "1_8", {"epochs": 320, "unsup_weight": 3.0, "cutmix": "three", "window": 800}),
        ("cityscapes", "1_4", {"epochs": 450}),
        ("cityscapes", "1_2", {"epochs": 550}),
        ("scenes", "1_2", {"epochs": PRESETS["scenes"]["epochs"]}),
    ],
)
def test_a_split_has_the_papers_settings(preset, split, expected):
    values = {} if split is None else {"split": split}
    got = resolve(preset, **values).flat()
    assert {name: got[name] for name in expected} == expected
    changed = {name for name in got if got[name] != resolve(preset).flat()[name]}
    assert changed <= {"split", *SPLIT_SETTINGS.get(preset, {}).get(split, {})}


def test_given_values_win_over_the_splits():
    assert resolve("voc", split="1_2", epochs=7).method.epochs == 7
    assert resolve("voc-classic", split="92", unsup_weight=1.0).method.unsup_weight == 1.0


@pytest.mark.parametrize("preset", ["voc", "voc-classic", "cityscapes"])
def test_the_papers_presets_are_the_papers(preset):
    config = resolve(preset)
    assert (config.model.arch, config.model.backbone) == ("psmt-deeplabv3plus", "resnet50s")
    method, optim = config.method, config.optim
    assert (method.warmup_epochs, method.ramp_epochs, method.ema, method.eps) == (5, 12, 0.996, 2.0)
    assert (method.confidence, method.assist_top) == (0.6, 7)
    assert (optim.momentum, optim.weight_decay, optim.power, optim.head_lr_factor) == (0.9, 1e-4, 0.9, 1.0)
    city = preset == "cityscapes"
    assert (config.views.crop, config.views.base_size) == ((800, (1024, 2048)) if city else (512, None))
    assert city or config.views.long_side == (300, 1200)
    # Four GPUs of 8 + 8 images, or two of 4 + 4.
    assert (method.groups, method.images_per_gpu, method.batch_labeled) == ((2, 4, 8) if city else (4, 8, 32))
    assert method.batch_unlabeled == method.batch_labeled
    # 77.12 at 1/8 is published for crop 800 with OHEM.
    assert method.sup_loss == ("ohem" if city else "ce")


def test_the_published_code_of_cityscapes_has_two_switches_more():
    ours, theirs = (configure("cityscapes", {"data": "."}, recipe=recipe).method for recipe in RECIPES)
    assert (ours.sup_loss, ours.best_by) == ("ohem", "ensemble")
    assert (theirs.sup_loss, theirs.best_by) == ("ce", "teacher1")
    assert configure("cityscapes", {"data": ".", "sup_loss": "ohem"}, recipe="official-code").method.sup_loss == "ohem"


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, (5, 300)), ({"warmup_epochs": 2}, (2, None)), ({"warmup_epochs": 2, "warmup_steps": 7}, (2, 7))],
)
def test_passes_that_are_asked_for_win_over_a_presets_steps(values, expected):
    method = configure("scenes", values).method
    assert (method.warmup_epochs, method.warmup_steps) == expected


@pytest.mark.parametrize(
    ("preset", "batch", "rate"),
    [
        ("voc", None, 1e-2),
        ("voc", 32, 1e-2),
        ("voc", 8, 2.5e-3),
        ("voc", 4, 1.25e-3),
        ("voc-classic", None, 1e-2),
        ("cityscapes", None, 4.5e-3),
        ("cityscapes", 2, 4.5e-3),
        ("scenes", 3, 0.06),
    ],
)
def test_the_rate_follows_the_batch_where_the_paper_lets_it(preset, batch, rate):
    config = resolve(preset, **({} if batch is None else {"batch_labeled": batch}))
    assert config.learning_rate == pytest.approx(rate, rel=1e-12)
    # The batch of unlabelled images has no part in it.
    assert config.replace({"batch_unlabeled": 64}).learning_rate == config.learning_rate


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_serves_every_method(preset, method):
    """Equal lengths, views, batches and networks; what a method does not have is left aside."""
    config, psmt = resolve(preset, method=method), resolve(preset)
    assert type(config.method) is METHODS[method]
    for group in ("data", "model", "views", "optim", "system"):
        assert getattr(config, group) == getattr(psmt, group)
    shared = set(config.flat()) & set(psmt.flat()) - {"method"}
    own = METHODS[method]()
    for name in shared:
        set_by_preset = psmt.flat()[name] != Config().flat()[name]
        if set_by_preset or FIELDS[name] != "method":
            assert config.flat()[name] == psmt.flat()[name], name
        else:
            assert config.flat()[name] == getattr(own, name), name


@pytest.mark.parametrize("preset", PRESETS)
def test_a_smoke_test_of_any_preset(preset):
    config = smoke(resolve(preset), {})
    got = config.flat()
    assert {name: got[name] for name in SMOKE if name in got} == dict(SMOKE)
    assert config.preset == preset
    assert set(got) == set(resolve(preset).flat())
    others = {name for name, value in resolve(preset).flat().items() if got[name] != value}
    assert others <= set(SMOKE)


def test_a_smoke_test_has_what_is_given_and_no_larger_crop():
    assert smoke(resolve("scenes", crop=64), {"crop": 64}).views.crop == 64
    assert smoke(resolve("scenes", crop=128), {"crop": 128}).views.crop == 128
    assert smoke(resolve("scenes", crop=64), {}).views.crop == 64  # of a preset or a file
    config = smoke(resolve("scenes", warmup_epochs=3, warmup_steps=None, epochs=1), {"warmup_epochs": 3, "epochs": 1})
    assert (config.method.warmup_steps, config.method.warmup_epochs, config.method.epochs) == (None, 3, 1)
    assert "batch_unlabeled" in smoke(configure("scenes", {"method": "supervised"}), {}).flat()
