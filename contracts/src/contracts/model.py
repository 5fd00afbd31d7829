"""The one base of every wire model, and the form in which a refusal names a field."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError


class Wire(BaseModel):
    """A frozen, closed, strict model: unknown fields are refused and nothing is coerced. Parse with `model_validate_json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^_/\x00-\x1f\x7f][^/\x00-\x1f\x7f]*$")]
"""A code of a situation, party or place: no `/`, no leading `_` (reserved for counting lines)."""
Key = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^/\x00-\x1f\x7f]+$")]
"""A key inside an incident or exchange file: no `/`, because a reference is `incident/key`."""
Ref = Annotated[str, StringConstraints(min_length=3, max_length=129, pattern=r"^[^/\x00-\x1f\x7f]+/[^/\x00-\x1f\x7f]+$")]
"""A reference `incident/key`."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Count = Annotated[int, Field(ge=0, le=100_000)]
Day = date


@dataclass(frozen=True, slots=True)
class FieldError:
    """One refusal: the path of the field, a stable code and how to mend it. Never holds the refused value."""

    field: str
    code: str
    message: str


_SENTENCES = {
    "missing": ("missing", "This field is required; add it."),
    "extra_forbidden": ("unknown_field", "This field is not known here; remove it or correct its name."),
    "json_invalid": ("not_json", "The text is not valid JSON in UTF-8; send one JSON object."),
    "too_long": ("too_many", "There are too many entries; split the report or shorten the list."),
    "too_short": ("too_few", "At least one entry is needed here."),
    "string_too_long": ("too_long", "The text is too long; shorten it."),
    "string_too_short": ("too_short", "The text is empty or too short; write it or leave the field out."),
    "string_pattern_mismatch": (
        "wrong_form",
        "The text does not have the form this field needs; see the documentation of the field.",
    ),
    "greater_than_equal": ("too_small", "The number is too small for this field."),
    "less_than_equal": ("too_large", "The number is too large for this field."),
    "enum": ("unknown_code", "This code is not in the field's code list; choose one from the list."),
    "literal_error": (
        "unknown_code",
        "This value is not one of those the field knows; see the documentation of the field.",
    ),
    "bool_type": ("wrong_type", "This must be true or false."),
    "string_type": ("wrong_type", "This must be a text."),
    "int_type": ("wrong_type", "This must be a whole number."),
    "int_from_float": ("wrong_type", "This must be a whole number."),
    "list_type": ("wrong_type", "This must be a list."),
    "tuple_type": ("wrong_type", "This must be a list."),
    "dict_type": ("wrong_type", "This must be an object."),
    "model_type": ("wrong_type", "This must be an object."),
    "model_attributes_type": ("wrong_type", "This must be an object."),
    "uuid_parsing": ("wrong_form", "This must be a UUID such as 123e4567-e89b-42d3-a456-426614174000."),
    "uuid_type": ("wrong_type", "This must be a text holding a UUID."),
    "recursion_loop": ("too_deep", "The document is nested too deeply."),
}


def field_path(location: tuple[int | str, ...]) -> str:
    """Write a pydantic location the way refusals name fields: `violations[0].boys`; the whole document is `(document)`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "(document)"


UNION_TAGS: Final = frozenset({"duplicate", "not_duplicate", "same_child", "not_same_child"})
"""The kinds by which links are told apart. They stand in a location of pydantic's, though they are no part of the document's path."""


def field_errors(error: ValidationError, *, name_unknown: bool = False) -> list[FieldError]:
    """Turn a pydantic error into refusals without any submitted value.

    A name the sender invented is a value too: the path of an unknown field ends at its parent, unless `name_unknown` says that the
    refusal stays with whoever wrote the document.
    """
    found: list[FieldError] = []
    for item in error.errors(include_url=False, include_input=False):
        kind = item["type"]
        location = _path_of_document(item["loc"])
        if kind.startswith(("date", "datetime")):
            code, message = "wrong_form", "This must be a date such as 2024-01-31."
        elif kind.startswith(("timezone", "float")):
            code, message = "wrong_form", "This value does not have the form this field needs."
        else:
            code, message = _SENTENCES.get(kind, ("invalid", "This value does not fit the field; see the documentation of the field."))
        if kind == "extra_forbidden" and name_unknown:
            found.append(FieldError(field_path(location), code, message))
        elif kind == "extra_forbidden":
            found.append(
                FieldError(
                    field_path(location[:-1]),
                    code,
                    "A field in this object is not known here; remove it or correct its name.",
                )
            )
        elif kind.startswith("union_tag"):
            found.append(_tag_error(kind, location, item["ctx"]))
        else:
            found.append(FieldError(field_path(location), code, message))
    return found


def _path_of_document(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Leave out the kind by which pydantic chose a model for an entry of a list."""
    return tuple(
        part for number, part in enumerate(location) if number == 0 or part not in UNION_TAGS or not isinstance(location[number - 1], int)
    )


def _tag_error(kind: str, location: tuple[int | str, ...], context: Mapping[str, Any]) -> FieldError:
    """Name the field that tells models apart: it is missing, or holds none of the words that it knows."""
    field = field_path((*location, str(context["discriminator"]).strip("'")))
    if kind == "union_tag_not_found":
        return FieldError(field, *_SENTENCES["missing"])
    return FieldError(field, "unknown_code", f"Choose one of {context['expected_tags']}.".replace("'", "`"))


def compact(model: BaseModel) -> dict[str, Any]:
    """Return the JSON form of a model without absent fields."""
    dumped: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return dumped
