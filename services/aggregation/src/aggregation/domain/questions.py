"""A question to a table: its parameters read from text, every wrong one named."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from aggregation.domain.periods import By, LateRule, Window
from aggregation.domain.tables import Table
from contracts.vocabulary import list_names

LONGEST_WINDOW_YEARS: Final = 200
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_POSITION = re.compile("[0-9]{1,18}")
_Choice = TypeVar("_Choice", bound=StrEnum)
KNOWN: Final = frozenset({"from", "to", "as_of", "late_rule", "late", "field", "by", "form"})


class Late(StrEnum):
    """Whether the late part stands beside the main set or inside it (C6)."""

    BESIDE = "beside"
    INSIDE = "inside"


class Refusal(Exception):  # noqa: N818 - a question is refused
    """Why a question is refused: a stable code and the parameter it is about."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(code)
        self.code = code
        self.field = field


class Form(StrEnum):
    """The internal form, exact, or the one that may leave, with small numbers left out (C14)."""

    EXACT = "exact"
    SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a table. `as_of` is a position, an aware instant, or None for now."""

    window: Window
    as_of: int | datetime | None = None
    late_rule: LateRule
    late: Late = Late.BESIDE
    field: str | None = None
    by: By = By.QUARTER
    form: Form = Form.EXACT

    @property
    def late_inside(self) -> bool:
        """Whether the main set is the whole verified set."""
        return self.late is Late.INSIDE

    def params(self) -> dict[str, str]:
        """Return the parameters as given back with an answer, defaults filled in."""
        params = {"late_rule": self.late_rule.value, "late": self.late.value, "by": self.by.value}
        return params if self.field is None else {**params, "field": self.field}


def read_question(params: Mapping[str, str], *, late_rule: LateRule, needs_field: bool = False) -> Question:
    """Read a question; raises Refusal. A known parameter without effect on the table is accepted if its value is one it knows.

    Tables in shared form are one linked set, so their default late rule is one: `window`.
    """
    for name in params:
        if name not in KNOWN:
            raise Refusal("unknown_parameter", "(query)")
    field = params.get("field")
    if field is not None and field not in list_names():
        raise Refusal("unknown_value", "field")
    if needs_field and field is None:
        raise Refusal("missing_field", "field")
    form = _member(Form, params, "form", Form.EXACT)
    if form is Form.SHARED:
        late_rule = LateRule.WINDOW
    return Question(
        form=form,
        window=read_window(params),
        as_of=read_moment(params.get("as_of"), field="as_of"),
        late_rule=_member(LateRule, params, "late_rule", late_rule),
        late=_member(Late, params, "late", Late.BESIDE),
        by=_member(By, params, "by", By.QUARTER),
        field=field,
    )


def question_for(table: Table, params: Mapping[str, str]) -> Question:
    """Read a question to one table, with its default late rule."""
    return read_question(params, late_rule=table.late_rule, needs_field=table.asks_field)


def read_window(params: Mapping[str, str]) -> Window:
    """Read `from` and `to`: half-open, empty if equal, refused if reversed or longer than anybody's life (C3)."""
    start, end = _day(params, "from"), _day(params, "to")
    if start > end:
        raise Refusal("reversed_window", "to")
    if end - start > timedelta(days=366 * LONGEST_WINDOW_YEARS):
        raise Refusal("absurd_window", "to")
    return Window(start, end)


def read_moment(text: str | None, *, field: str) -> int | datetime | None:
    """Read a position or an instant with its offset from UTC."""
    if text is None:
        return None
    if _POSITION.fullmatch(text):
        return int(text)
    try:
        instant = datetime.fromisoformat(re.sub(r" (\d{2}:\d{2})$", r"+\1", text))
    except ValueError:
        raise Refusal("unknown_value", field) from None
    if instant.tzinfo is None:
        raise Refusal("unknown_value", field)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise Refusal("unknown_value", field) from None


def _day(params: Mapping[str, str], name: str) -> date:
    text = params.get(name)
    if text is None:
        raise Refusal("missing_parameter", name)
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal("unknown_value", name) from None


def _member(kind: type[_Choice], params: Mapping[str, str], name: str, default: _Choice) -> _Choice:
    try:
        return kind(params[name]) if name in params else default
    except ValueError:
        raise Refusal("unknown_value", name) from None
