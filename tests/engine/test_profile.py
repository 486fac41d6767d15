from underpaint.engine.profile import SAMPLES, PassProfile


def measured(**seconds_by_rows: float) -> PassProfile:
    """A profile of one group, "shape", from arguments such as `rows2=0.5`."""
    profile = PassProfile()
    for name, seconds in seconds_by_rows.items():
        for _ in range(SAMPLES):
            profile.record("shape", int(name.removeprefix("rows")), seconds)
    return profile


def test_nothing_is_known_at_first_and_everything_allowed() -> None:
    assert PassProfile().seconds("shape", 2) is None
    assert PassProfile().rows_that_pay("shape", 8) == 8


def test_a_larger_batch_that_takes_proportionally_longer_does_not_pay() -> None:
    assert measured(rows2=1.0, rows4=2.0, rows8=4.0).rows_that_pay("shape", 8) == 2


def test_a_larger_batch_that_takes_no_longer_pays() -> None:
    assert measured(rows2=1.0, rows4=1.1, rows8=1.3).rows_that_pay("shape", 8) == 8


def test_it_pays_up_to_where_the_device_is_full() -> None:
    assert measured(rows1=1.0, rows2=1.0, rows4=1.1, rows8=2.2).rows_that_pay("shape", 8) == 4


def test_one_disturbed_pass_decides_nothing() -> None:
    profile = measured(rows2=1.0)
    profile.record("shape", 8, 100.0)
    assert profile.rows_that_pay("shape", 8) == 8
    for _ in range(SAMPLES):
        profile.record("shape", 8, 2.0)
    assert profile.rows_that_pay("shape", 8) == 8


def test_groups_are_measured_apart() -> None:
    profile = measured(rows2=1.0, rows8=4.0)
    assert profile.rows_that_pay("other shape", 8) == 8
    assert profile.seconds("other shape", 2) is None


def test_sizes_that_were_not_measured_are_scaled_from_the_nearest() -> None:
    profile = measured(rows2=1.0, rows8=3.0)
    assert profile.seconds("shape", 2) == 1.0
    assert profile.seconds("shape", 3) == 1.5
    assert profile.seconds("shape", 16) == 6.0


def test_estimates_follow_what_passes_take_at_present() -> None:
    profile = measured(rows2=1.0)
    for _ in range(50):
        profile.record("shape", 2, 3.0)
    seconds = profile.seconds("shape", 2)
    assert seconds is not None
    assert 2.9 < seconds < 3.0
