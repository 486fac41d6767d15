import math
from typing import Any

import pytest

from underpaint.catalog import ModelDefaults


@pytest.mark.parametrize(
    "values",
    [
        {"width_px": 63},
        {"height_px": 4097},
        {"steps": 0},
        {"steps": 101},
        {"guidance_scale": 50.1},
        {"guidance_scale": math.nan},
        {"strength": -0.1},
        {"scheduler": ""},
    ],
)
def test_defaults_that_no_request_may_ask_for_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values)).removesuffix("_px")):
        ModelDefaults(**values)
