import itertools

import numpy as np

from psmt_viz.seeds import derived_seed


def test_equal_arguments_give_the_seed_of_every_machine():
    assert derived_seed(0, "labeled", 17) == derived_seed(0, "labeled", 17) == 7266190372454629989


def test_the_kind_of_integer_does_not_matter():
    assert derived_seed(np.int64(3), "views", np.uint8(41)) == derived_seed(3, "views", 41)


def test_words_and_numbers_are_told_apart():
    assert (
        len({derived_seed(0, "1"), derived_seed(0, 1), derived_seed(0, "1", 1), derived_seed(2**32), derived_seed(0)})
        == 5
    )


def test_other_arguments_give_other_seeds_of_63_bits():
    paths = [
        (name, *rest) for name in ("a", "b", "ab") for rest in [(), *((n,) for n in range(1, 300)), (1, 2), (2, 1)]
    ]
    seeds = [derived_seed(seed, *path) for seed, path in itertools.product((0, 1, 2, 1000), paths)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    # Every bit is used: each is set in about half of the seeds.
    shares = np.array([[seed >> bit & 1 for bit in range(63)] for seed in seeds]).mean(axis=0)
    assert (abs(shares - 0.5) < 5 * 0.5 / len(seeds) ** 0.5).all()


def test_a_longer_path_is_another_stream():
    assert derived_seed(0, "a") != derived_seed(0, "a", 0)
