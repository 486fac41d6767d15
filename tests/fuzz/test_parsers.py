"""No bytes make a parser do anything but read or refuse them; the long form is `python -m tests.fuzz`."""

import pytest

from tests.fuzz.engines import best_engine, run_atheris, run_hypothesis
from tests.fuzz.parsers import PARSERS, with_checksums


@pytest.mark.parametrize("name", PARSERS)
def test_no_input_is_more_than_read_or_refused(name: str) -> None:
    assert run_hypothesis(name, 400, derandomize=True) >= 400


@pytest.mark.skipif(best_engine() != "atheris", reason="atheris is not installed")
def test_the_other_engine_runs() -> None:
    assert run_atheris("air", 500).startswith("Done 500 in ")


@pytest.mark.parametrize("name", PARSERS)
def test_seeds_are_read_or_refused(name: str) -> None:
    for seed in PARSERS[name].seeds:
        PARSERS[name].parse(seed)


def test_a_fault_of_a_parser_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.parsers.Air.parse", lambda text: [][len(text)])
    with pytest.raises(IndexError):
        run_hypothesis("air", 20)


def test_checksums_are_repaired() -> None:
    whole = PARSERS["image"].seeds[0][1:]
    assert with_checksums(whole[:-13] + bytes([whole[-13] ^ 1]) + whole[-12:]) == whole
