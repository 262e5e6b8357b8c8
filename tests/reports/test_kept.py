"""What figures share is computed once for the same results, and again for others."""

from lrladder.reports.kept import MOST, kept
from tests.reports.synthetic import build_results


def test_once_for_one_object_and_each_of_its_arguments() -> None:
    calls: list[tuple[object, str]] = []

    @kept
    def rows(results: object, name: str) -> list[str]:
        calls.append((results, name))
        return [name]

    first, equal = build_results(), build_results()
    assert rows(first, "sp") is rows(first, "sp")
    assert rows(first, "mup") == ["mup"]
    assert rows(equal, "sp") is not rows(first, "sp")  # equal results that are another object
    assert len(calls) == 3
    changed = first.model_copy(update={"measurements": ()})
    rows(changed, "sp")
    assert calls[-1][0] is changed


def test_few_values_are_kept() -> None:
    calls: list[object] = []
    rows = kept(lambda results: calls.append(results))
    for _ in range(2):
        for place in range(MOST + 1):
            rows(str(place))
    assert len(calls) == 2 * (MOST + 1)
