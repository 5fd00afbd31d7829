"""Fixtures of a real issuer and a running intake for the tests of this folder."""

from support.edge import intake, quiet_intake
from support.issuer import issuer

__all__ = ["intake", "issuer", "quiet_intake"]
