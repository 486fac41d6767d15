"""What the engine says about itself."""

import torch

from underpaint.engine.messages import Vitals
from underpaint.engine.vitals import VitalsReporter


def test_passes_are_counted_until_they_are_told() -> None:
    told: list[Vitals] = []
    reporter = VitalsReporter(torch.device("cpu"), told.append)
    reporter.count(2, 0.5)
    reporter.tell(("a:1@1",), idle=False)
    for _ in range(2):
        reporter.count(4, 0.25)
        # Too soon for news, unless the work is over.
        reporter.tell(("a:1@1",), idle=False)
    reporter.tell((), idle=True)
    assert [dict(each.passes) for each in told] == [{2: 1}, {4: 2}]
    assert [each.pass_seconds for each in told] == [0.5, 0.5]
    assert [each.models for each in told] == [("a:1@1",), ()]
    assert all(each.memory_bytes > 2**20 for each in told)
