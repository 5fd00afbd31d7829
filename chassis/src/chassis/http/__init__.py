"""The edge of a service: HTTP in and out, with nothing of any service's own.

A service's routes need only what is gathered here.
"""

from chassis.http.access import allowed, open_to_all
from chassis.http.app import create_app
from chassis.http.bodies import json_body, read_json
from chassis.http.once import AnsweredBefore, OncePart
from chassis.http.paging import Page, PageQuery, next_cursor
from chassis.http.problems import problem_responses
from chassis.permissions import Caller

__all__ = [
    "AnsweredBefore",
    "Caller",
    "OncePart",
    "Page",
    "PageQuery",
    "allowed",
    "create_app",
    "json_body",
    "next_cursor",
    "open_to_all",
    "problem_responses",
    "read_json",
]
