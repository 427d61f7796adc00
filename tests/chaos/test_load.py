"""Thousands of calls at once leave nothing behind; `python -m benchmarks load` makes it 200,000."""

from benchmarks.load import BODY_LOST, OBJECTS, measure


def test_calls_by_the_thousand_leave_no_task_no_descriptor_and_no_objects_behind() -> None:
    calls = 4000
    measured, applied, struck = measure(
        calls=calls, in_flight=256, faults=0.05, latency=(0.0, 0.02)
    )
    assert applied == {1: calls}
    assert struck > 100
    assert BODY_LOST.issuperset(measured.errors)
    assert measured.left == (0, 0)
    assert measured.objects < OBJECTS
