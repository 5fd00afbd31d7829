"""A situation's register entry against the situation of an exchange file: where records would be counted otherwise. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.situation import SituationPart


def register_differences(register: Mapping[str, Any], file: SituationPart) -> Iterator[str]:
    """Yield, field by field, what the register lacks or has otherwise. It may hold more than the file; names change no figure."""
    if register["time_zone"] != file.time_zone:
        yield "situation.time_zone: the register has another one"
    parties = {party["code"]: party for party in register.get("parties", ())}
    for party in file.parties:
        known = parties.get(party.code)
        if known is None:
            yield f"situation.parties[{party.code}]: not in the register"
        elif known["type"] != party.type:
            yield f"situation.parties[{party.code}].type: `{known['type']}` in the register, `{party.type}` in the file"
    places = {place["code"]: place for place in register.get("places", ())}
    for place in file.places:
        known = places.get(place.code)
        if known is None:
            yield f"situation.places[{place.code}]: not in the register"
            continue
        if known["level"] != place.level:
            yield f"situation.places[{place.code}].level: {known['level']} in the register, {place.level} in the file"
        if known.get("parent") != place.parent:
            above, wanted = _named(known.get("parent")), _named(place.parent)
            yield f"situation.places[{place.code}].parent: {above} in the register, {wanted} in the file"


def _named(code: str | None) -> str:
    return "none" if code is None else f"`{code}`"
