"""JSON Schemas of every answer that aggregation gives: tables, contributors, changes, the note, the shared form."""

from typing import Any, Final

from contracts.vocabulary import CHILD_TYPES, COUNTED_TYPES, GRAVE_VIOLATIONS, INCIDENT_TYPES, Sex, ViolationType, ordered_codes

Schema = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_NUMBER: Final[Schema] = {"type": "integer", "minimum": 0}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 1}
_TEXT: Final[Schema] = {"type": "string"}
_DAY: Final[Schema] = {"type": "string", "format": "date"}
_DAY_OR_NONE: Final[Schema] = {"type": ["string", "null"], "format": "date"}
_INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
_INSTANT_OR_NONE: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_VIOLATION: Final[Schema] = {"type": "string", "description": "`incident/key`"}


def _ordered(kinds: frozenset[ViolationType]) -> list[str]:
    return [kind.value for kind in ViolationType if kind in kinds]


def _closed(properties: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _some(names: list[str], value: Schema) -> Schema:
    """Some of the named members; one that is zero is absent."""
    return {"type": "object", "properties": dict.fromkeys(names, value), "additionalProperties": False}


def _any(value: Schema) -> Schema:
    """Members by codes of the register or of a code list."""
    return {"type": "object", "additionalProperties": value}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


_SEXES: Final = ("boys", "girls", "unknown")
_CHILDREN: Final = _closed(dict.fromkeys((*_SEXES, "total"), _NUMBER))
_BY_TYPE: Final = _some([*_ordered(COUNTED_TYPES), "total"], _COUNT)
_GRAVE: Final = _closed(dict.fromkeys(GRAVE_VIOLATIONS, _NUMBER))
_HEAD: Final[dict[str, Schema]] = {"violations": _NUMBER, "by_grave_violation": _GRAVE, "children": _CHILDREN}
_TYPES: Final = _list({"enum": _ordered(COUNTED_TYPES)})
_SHAPES: Final = {
    "children": _some(_ordered(CHILD_TYPES), _CHILDREN),
    "incidents": _some(_ordered(INCIDENT_TYPES), _COUNT),
    "by_party": _any(_BY_TYPE),
    "by_region": _any(_BY_TYPE),
}
_PLACE: Final[Schema] = {
    **_closed(
        {
            "set": {"enum": ["verified", "unverified"]},
            "type": {"enum": [kind.value for kind in ViolationType]},
            "late": {"type": "boolean"},
            "decided_on": _DAY_OR_NONE,
            "amount": _NUMBER,
            **dict.fromkeys((*_SEXES, "total"), _NUMBER),
            "lines": _list(_TEXT),
            "region": {"type": ["string", "null"]},
            "details": _any(_list(_TEXT)),
        }
    ),
    "type": ["object", "null"],
}

DATA: Final[dict[str, Schema]] = {
    **{f"{part}_{what}": shape for what, shape in _SHAPES.items() for part in ("verified", "late", "unverified")},
    "children_multiple": _list(
        _closed({"sex": {"enum": [sex.value for sex in Sex]}, "age": {"type": ["integer", "null"], "minimum": 0}, "violations": _TYPES})
    ),
    "groups_multiple": _list(_closed({**dict.fromkeys(_SEXES, _NUMBER), "violations": _TYPES})),
    "summary": _closed({**_HEAD, "late": _closed(_HEAD)}),
    "by_grave_violation_and_party": _some(list(GRAVE_VIOLATIONS), _any(_COUNT)),
    "by_grave_violation_and_parties": _some(list(GRAVE_VIOLATIONS), _list(_closed({"lines": _list(_TEXT), "n": _COUNT}))),
    "by_detail": _some(_ordered(COUNTED_TYPES), _any(_COUNT)),
    "ages": _some(list(ordered_codes("age_band")), _COUNT),
    "context": _closed(
        {
            "military_use": {**_some([*ordered_codes("military_use_type"), "_none", "total"], _NUMBER), "required": ["total"]},
            "deprivation_liberty": _CHILDREN,
        }
    ),
    "trend": _list(_closed({"from": _DAY, "to": _DAY, "violations": _NUMBER, "by_grave_violation": _GRAVE})),
    "exceptions": _list(_closed({"violation": _VIOLATION, "missing": _list({"enum": ["decided_on", "place", "attribution"]})})),
}
"""What each table answers with, under `data`."""
GHN: Final = tuple(name for name in DATA if name.partition("_")[2] in _SHAPES or name in ("children_multiple", "groups_multiple"))
_AS_OF: Final = _closed({"position": _NUMBER, "instant": _INSTANT_OR_NONE})
_APPLIES: Final = _list({"type": "string", "pattern": "^C[0-9]+$"})
_NEXT: Final[Schema] = {"type": ["string", "null"], "description": "`cursor` of the next page"}


SHARED: Final = tuple(
    name for name in DATA if name not in ("children_multiple", "groups_multiple", "exceptions", "by_grave_violation_and_parties")
)
"""Tables that have a shared form."""
WHY_LEFT_OUT: Final = (
    "Numbers from 1 to threshold - 1 are left out, and so are as few others as it takes that nobody can work those out, "
    "not even with what was shared before."
)
_LEFT_OUT: Final = _closed({"threshold": _COUNT, "left_out": _NUMBER, "left_out_in_set": _NUMBER, "why": {"const": WHY_LEFT_OUT}})


def _envelope(table: Schema, data: Schema, **more: Schema) -> Schema:
    return _closed(
        {
            "table": table,
            "situation": _TEXT,
            "from": _DAY,
            "to": _DAY,
            "as_of": _AS_OF,
            "rules": {**_TEXT, "description": "the version of the counting rules"},
            "applies": _APPLIES,
            "params": _any(_TEXT),
            "data": data,
            **more,
        }
    )


def table_answer(name: str) -> Schema:
    """Return the schema of the answer of one table; `KeyError` if there is none of that name."""
    paged = {"next": _NEXT} if name == "exceptions" else {}
    return _envelope({"const": name}, DATA[name], **paged)


def any_table_answer() -> Schema:
    """Return the schema of the answer of whichever table, exact or in shared form."""
    return {"oneOf": [*(table_answer(name) for name in DATA), *(shared_table_answer(name) for name in SHARED)]}


def shared_table_answer(name: str) -> Schema:
    """Return the schema of a table's shared form: null stands for a number that is left out (C14)."""
    return _envelope({"const": name}, _nullable(DATA[name]), form={"const": "shared"}, shared=_LEFT_OUT)


def shared_ghn_answer() -> Schema:
    """Return the schema of the fourteen tables in shared form; lists of single children and groups are null."""
    data = {name: _nullable(DATA[name]) if name in SHARED else {"type": "null"} for name in GHN}
    return _envelope({"const": "ghn"}, _closed(data), form={"const": "shared"}, shared=_LEFT_OUT)


def release_answer() -> Schema:
    """Return the schema of what was shared of a window."""
    return _closed(
        {
            "release": {"type": "string", "format": "uuid"},
            "situation": _TEXT,
            "from": _DAY,
            "to": _DAY,
            "as_of": _AS_OF,
            "rules": _TEXT,
            "applies": _APPLIES,
            "params": _any(_TEXT),
            "shared": _LEFT_OUT,
            "tables": {"type": "object"},
            "released_by": _TEXT,
            "released_at": _INSTANT,
        }
    )


def releases_answer() -> Schema:
    """Return the schema of a page of releases."""
    return _closed({"items": _list(release_answer()), "next": _NEXT})


def _nullable(schema: Schema) -> Schema:
    """Let null stand wherever a number stands."""
    if schema.get("type") == "integer":
        return {**schema, "type": ["integer", "null"]}
    changed = dict(schema)
    if "properties" in schema:
        changed["properties"] = {name: _nullable(value) for name, value in schema["properties"].items()}
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            changed[inner] = _nullable(schema[inner])
    return changed


def contributors_answer() -> Schema:
    """Return the schema of the violations behind a number; without `amount` where the number is one of children."""
    return _envelope(
        {"enum": list(DATA)},
        _list(_closed({"violation": _VIOLATION, "amount": _COUNT}, optional=("amount",))),
        cell={**_TEXT, "description": "the path of the number"},
        value={"type": ["integer", "object"]},
        next=_NEXT,
    )


def any_ghn_answer() -> Schema:
    """Return the schema of the fourteen tables, exact or in shared form."""
    return {"oneOf": [ghn_answer(), shared_ghn_answer()]}


def ghn_answer() -> Schema:
    """Return the schema of the fourteen tables in one."""
    return _envelope({"const": "ghn"}, _closed({name: DATA[name] for name in GHN}))


def changes_answer() -> Schema:
    """Return the schema of the difference of two moments."""
    cause = _closed({"position": _COUNT, "kind": _TEXT, "id": _TEXT, "recorded_at": _INSTANT})
    change = _closed(
        {
            "violation": _VIOLATION,
            "change": {"enum": ["entered", "left", "moved", "children"]},
            "before": _PLACE,
            "after": _PLACE,
            "causes": _list(cause),
        }
    )
    return _envelope({"const": "changes"}, _list(change), since=_AS_OF, next=_NEXT)


def position_answer() -> Schema:
    """Return the schema of how far the ledger has come."""
    return _closed({"situation": _TEXT, "position": _NUMBER, "recorded_at": _INSTANT_OR_NONE})


def snapshot_answer(*, tables: bool) -> Schema:
    """Return the schema of a frozen snapshot, with or without its tables."""
    properties: dict[str, Schema] = {
        "snapshot": {"type": "string", "format": "uuid"},
        "situation": _TEXT,
        "from": _DAY,
        "to": _DAY,
        "as_of": _AS_OF,
        "rules": _TEXT,
        "params": _any(_TEXT),
        "frozen_by": _TEXT,
        "frozen_at": _INSTANT,
    }
    return _closed({**properties, "tables": {"type": "object"}} if tables else properties)


def snapshots_answer() -> Schema:
    """Return the schema of a page of snapshots."""
    return _closed({"items": _list(snapshot_answer(tables=False)), "next": _NEXT})


def rebuild_answer() -> Schema:
    """Return the schema of a rebuild's progress."""
    return _closed(
        {
            "situation": _TEXT,
            "state": {"enum": ["clearing", "replaying", "comparing", "swapped", "refused"]},
            "replayed": _NUMBER,
            "compared": _NUMBER,
            "target": _NUMBER,
            "difference": {"type": ["object", "null"]},
            "started_at": _INSTANT,
            "ended_at": _INSTANT_OR_NONE,
        }
    )


def schemas() -> dict[str, Schema]:
    """Return every answer's schema by its name."""
    found = {name: table_answer(name) for name in DATA}
    found |= {f"shared/{name}": shared_table_answer(name) for name in SHARED}
    found |= {"shared/ghn": shared_ghn_answer(), "shared/release": release_answer()}
    found |= {
        "contributors": contributors_answer(),
        "changes": changes_answer(),
        "ghn": ghn_answer(),
        "snapshot": snapshot_answer(tables=True),
    }
    return {name: {"$schema": DIALECT, "title": name, **schema} for name, schema in sorted(found.items())}


def tagged_responses(description: str, schema: Schema) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of an answer that carries a strong ETag and is not sent to who has it (RFC 9110)."""
    tag = {"ETag": {"description": "Names exactly this answer; send it in `If-None-Match`.", "schema": _TEXT}}
    return {
        200: {**json_response(description, schema), "headers": tag},
        304: {"description": "The caller has this answer: its ETag, or `*`, was in `If-None-Match`.", "headers": tag},
    }


def json_response(description: str, schema: Schema) -> dict[str, Any]:
    """Return an OpenAPI response that carries this JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}
