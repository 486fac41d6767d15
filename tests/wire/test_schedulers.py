from underpaint.wire import FLOW_SCHEDULER_NAMES, SCHEDULER_NAMES
from underpaint.wire.schedulers import canonical_scheduler_name


def test_the_names_are_the_76_of_the_api_25_of_them_for_flow_models() -> None:
    assert len(set(SCHEDULER_NAMES)) == len(SCHEDULER_NAMES) == 76
    assert len(set(FLOW_SCHEDULER_NAMES)) == len(FLOW_SCHEDULER_NAMES) == 25
    assert set(FLOW_SCHEDULER_NAMES) < set(SCHEDULER_NAMES)


def test_a_name_in_another_case_is_recognised() -> None:
    assert len({name.casefold() for name in SCHEDULER_NAMES}) == 76
    assert canonical_scheduler_name("dpm++ 2m karras ") == "DPM++ 2M Karras"
    assert canonical_scheduler_name("DPM 2M") is None
