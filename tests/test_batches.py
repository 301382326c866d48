from collections import Counter

from decal.batches import Order, lowest_terms, seed_for


def order(**change: object) -> Order:
    return Order(**({"seed": 3, "pictures": 7, "size": 4, "flip": True, "caption_dropout": 0.25} | change))  # type: ignore[arg-type]


def test_every_picture_comes_once_an_epoch() -> None:
    seen = [sample.index for step in range(1, 15) for sample in order().at(step)]  # 14 steps of 4 are 8 epochs of 7
    assert [sorted(seen[epoch * 7 : epoch * 7 + 7]) for epoch in range(8)] == [list(range(7))] * 8


def test_each_epoch_is_shuffled_anew() -> None:
    seen = [sample.index for step in range(1, 8) for sample in order().at(step)]
    assert seen[:7] != seen[7:14]


def test_a_step_does_not_depend_on_the_steps_before() -> None:
    forwards = [order().at(step) for step in range(1, 9)]
    backwards = [order().at(step) for step in range(8, 0, -1)]
    assert forwards == backwards[::-1]


def test_another_batch_size_keeps_the_order_of_pictures() -> None:
    small = [sample.index for step in range(1, 5) for sample in order(size=2).at(step)]
    large = [sample.index for step in range(1, 3) for sample in order(size=4).at(step)]
    assert small == large


def test_shares_of_flips_and_blind_samples_are_as_asked() -> None:
    samples = [sample for step in range(1, 1001) for sample in order().at(step)]
    assert len(samples) == 4000
    assert abs(sum(sample.is_flipped for sample in samples) / 4000 - 0.5) < 0.04  # five standard deviations
    assert abs(sum(sample.is_blind for sample in samples) / 4000 - 0.25) < 0.035


def test_without_flips_and_dropout_nothing_is_flipped_or_blind() -> None:
    samples = [sample for step in range(1, 100) for sample in order(flip=False, caption_dropout=0.0).at(step)]
    assert not any(sample.is_flipped or sample.is_blind for sample in samples)


def test_epochs_are_counted_from_zero() -> None:
    assert [order().epoch(step) for step in (1, 2, 3, 4)] == [0, 0, 1, 1]  # steps begin at samples 0, 4, 8, 12 of 7 a pass


def test_seeds_for_different_purposes_differ() -> None:
    assert len({seed_for(0, what, step) for what in ("noise", "order") for step in range(1000)}) == 2000


def test_a_picture_comes_as_often_as_it_is_repeated() -> None:
    seen = [sample.index for step in range(1, 13) for sample in order(pictures=3, repeats=(1, 3, 2)).at(step)]  # eight epochs of 6
    assert [Counter(seen[epoch * 6 : epoch * 6 + 6]) for epoch in range(8)] == [{0: 1, 1: 3, 2: 2}] * 8
    assert order(pictures=3, repeats=(1, 3, 2)).epoch(3) == 1


def test_only_the_ratio_of_repeats_matters() -> None:
    assert (lowest_terms([10, 20, 10]), lowest_terms([10, 10]), lowest_terms([1, 1]), lowest_terms([])) == ((1, 2, 1), (), (), ())


def test_each_showing_of_a_picture_draws_a_caption_and_none_depends_on_the_batch() -> None:
    small = [sample.draw for step in range(1, 57) for sample in order(size=1).at(step)]
    large = [sample.draw for step in range(1, 15) for sample in order(size=4).at(step)]
    assert small == large
    assert len(set(small)) == 56
    assert set(Counter(draw % 3 for draw in small)) == {0, 1, 2}


def test_batches_are_of_one_shape_and_every_picture_comes_as_often() -> None:
    buckets = (0, 1, 0, 2, 0, 1, 0)  # four, two and one of a kind: none fills a batch of three
    shapes = order(size=6, buckets=buckets, batch=3)
    steps = [shapes.at(step) for step in range(1, 8)]  # 14 batches: 6 passes over 7 pictures
    groups = [{buckets[sample.index] for sample in step[first : first + 3]} for step in steps for first in (0, 3)]
    assert [len(group) for group in groups] == [1] * 14
    assert Counter(sample.index for step in steps for sample in step) == dict.fromkeys(range(7), 6)


def test_repeats_count_within_buckets_too() -> None:
    shapes = order(pictures=3, size=2, repeats=(1, 3, 2), buckets=(0, 1, 0), batch=2)
    seen = Counter(sample.index for step in range(1, 7) for sample in shapes.at(step))  # two passes of 6
    assert seen == {0: 2, 1: 6, 2: 4}


def test_a_bucketed_step_does_not_depend_on_the_steps_before() -> None:
    shapes = order(buckets=(0, 1, 0, 2, 0, 1, 0), batch=2)
    assert [shapes.at(step) for step in range(1, 9)] == [shapes.at(step) for step in range(8, 0, -1)][::-1]
