import itertools
import zlib

import numpy as np

from psmt_viz.seeds import derived_seed


def test_equal_arguments_give_the_seed_of_every_machine():
    assert derived_seed(0, "labeled", 17) == derived_seed(0, "labeled", 17) == 741356803790005007


def test_it_is_a_seed_sequence_over_checksums():
    words = np.random.SeedSequence([3, zlib.crc32(b"views"), 41]).generate_state(2, np.uint32)
    assert derived_seed(3, "views", 41) == (int(words[0]) | int(words[1]) << 32) >> 1


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
