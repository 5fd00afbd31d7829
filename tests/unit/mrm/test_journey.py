"""A refusal in the middle of a journey names the place that the request came from; reports without places keep their own names."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from mrm.client import Api, RefusedError
from mrm.journey import Journey

LINES = [{"violation": "a/k"}, {"violation": "b/k"}, {"violation": "c/k"}]
PLACES = ["steps[1].decisions[0]", "steps[1].decisions[4]", "steps[1].decisions[7]"]
Act = Callable[[Journey], Coroutine[Any, Any, None]]


class Refusing:
    """Services that refuse one field of whatever holds more than one entry, or of a report."""

    def __init__(self, field: str) -> None:
        self.field = field

    async def post(self, _: str, path: str, body: dict[str, Any], *, person: str) -> dict[str, str]:
        assert person
        if path.endswith("incidents") or body.get("lines", body.get("decisions", body.get("links")))[0]["violation"] == "c/k":
            raise RefusedError("service", 422, {"code": "invalid", "errors": [{"field": self.field, "message": "No."}]}, repeated=False)
        return {"docket": "1"}


ACTS: dict[str, tuple[str, Act]] = {
    "decisions[0].reason": ("reason", lambda journey: journey.decide("technical", LINES, size=2, places=PLACES)),
    "links[0].of": ("of", lambda journey: journey.link(LINES[2:], places=PLACES[2:])),
}


@pytest.mark.parametrize("field", list(ACTS))
async def test_an_entry_of_a_later_batch_is_named_by_its_place(field: str) -> None:
    end, act = ACTS[field]
    with pytest.raises(RefusedError, match=rf"steps\[1\]\.decisions\[7\]\.{end}: No\."):
        await act(Journey(cast("Api", Refusing(field)), "S"))


@pytest.mark.parametrize(("places", "named"), [(["steps[0].incidents[3]"], "steps[0].incidents[3].place"), ([], "place")])
async def test_a_report_is_named_by_its_place(places: list[str], named: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await Journey(cast("Api", Refusing("place")), "S").submit([{"key": "a"}], places=places)
    assert [entry["field"] for entry in refused.value.fields] == [named]
