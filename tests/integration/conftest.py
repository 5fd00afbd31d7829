"""Fixtures of a real issuer and running services for the tests of this folder."""

from support.edge import intake, quiet_intake
from support.exporting import export
from support.issuer import issuer
from support.vetting import vetting

__all__ = ["export", "intake", "issuer", "quiet_intake", "vetting"]
