"""Fixtures of a real issuer and a running intake for the tests of this folder."""

from support.edge import intake, quiet_intake
from support.issuer import issuer
from support.pages_issuer import pages_issuer
from support.signing_in import pages

__all__ = ["intake", "issuer", "pages", "pages_issuer", "quiet_intake"]
