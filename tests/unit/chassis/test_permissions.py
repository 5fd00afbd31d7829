"""A principal at one action: member, stranger, operator; relation and state."""

from uuid import uuid4

import pytest

from chassis.errors import Forbidden, NotFound
from chassis.identity import Principal
from chassis.permissions import Caller


def caller(action: str, *grants: tuple[str, str], service: str = "verification") -> Caller:
    return Caller(Principal("amina", "Amina", frozenset(grants)), service=service, action=action)


def test_a_row_opens_and_nothing_else_does() -> None:
    caller("case.open", ("XAA", "focal_point")).require("XAA")
    with pytest.raises(Forbidden):
        caller("case.open", ("XAA", "auditor")).require("XAA")
    with pytest.raises(Forbidden):
        caller("no.such_action", ("XAA", "focal_point")).require("XAA")
    with pytest.raises(Forbidden):
        caller("case.open", ("XAA", "focal_point"), service="export").require("XAA")


def test_a_strangers_answer_is_not_found() -> None:
    for grants in ((), (("XBB", "focal_point"),)):
        with pytest.raises(NotFound):
            caller("case.open", *grants).require("XAA")


def test_relation_and_state_must_be_covered() -> None:
    technical = ("XAA", "technical")
    caller("docket.withdraw", technical).require("XAA", relation="own", state="open")
    for relation, state in (("not_own", "open"), ("any", "open"), ("own", "approved"), ("own", "any")):
        with pytest.raises(Forbidden):
            caller("docket.withdraw", technical).require("XAA", relation=relation, state=state)
    caller("docket.withdraw", ("XAA", "cochair_un")).require("XAA", relation="not_own", state="open")


def test_the_installations_operator_is_known_everywhere_and_may_only_what_its_rows_say() -> None:
    operator = ("_all", "operator")
    caller("situation.write", operator).require("XAA")
    caller("account.read", operator).require_everywhere()
    assert caller("situation.list", operator).everywhere
    with pytest.raises(Forbidden):
        caller("case.open", operator).require("XAA")
    with pytest.raises(Forbidden):
        caller("case.open", operator).require_everywhere()
    assert caller("situation.list", operator).situations() == frozenset()


def test_an_operator_of_one_situation_is_not_the_installations() -> None:
    with pytest.raises(Forbidden):
        caller("account.read", ("XAA", "operator")).require_everywhere()
    with pytest.raises(NotFound):
        caller("account.read").require_everywhere()


def test_situations_are_those_with_a_row() -> None:
    asked = caller("case.open", ("XAA", "focal_point"), ("XBB", "auditor"), ("XCC", "technical"), ("XCC", "auditor"))
    assert asked.situations() == {"XAA", "XCC"}
    assert asked.require_somewhere() == {"XAA", "XCC"}
    assert caller("case.open").require_somewhere() == frozenset()
    with pytest.raises(Forbidden):
        caller("case.open", ("XBB", "auditor")).require_somewhere()


def test_asking_is_remembered() -> None:
    for ask in (
        lambda one: one.require("XAA"),
        lambda one: one.may("XAA"),
        lambda one: one.situations(),
        lambda one: one.everywhere,
    ):
        one = caller("case.open", ("XAA", "focal_point"))
        assert not one.checked
        assert one.roles_in("XAA") == {"focal_point"}
        assert not one.checked
        ask(one)
        assert one.checked


def test_a_device_is_a_stranger_wherever_the_table_does_not_name_devices() -> None:
    phone = Principal("amina", "Amina", frozenset({("XAA", "device")}), device=uuid4())
    Caller(phone, service="intake", action="incident.submit").require("XAA")
    for service, action in (("intake", "account.read"), ("intake", "audit.read"), ("verification", "case.open")):
        one = Caller(phone, service=service, action=action)
        with pytest.raises(NotFound):
            one.require("XAA")
        with pytest.raises(NotFound):
            one.require_everywhere()
        assert one.require_somewhere() == frozenset()
        assert one.row_scope.grants == frozenset()
