"""Opens kept reports in memory, and keeps free text sealed to verification's own keys of the situation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.recipients import keys_of
from chassis.sealing.keys import Signer
from chassis.sealing.opening import SealedOpener
from chassis.sealing.seal import seal
from chassis.sealing.signed import Expectation
from chassis.sealing.trust import Trust
from contracts.envelope import Header
from contracts.events import IncidentReported, IncidentRevised
from contracts.incident import IncidentReport
from contracts.model import Text, Wire
from contracts.situation import Situation

HOLDER: Final = "verification"
TEXT_TYPE: Final = "text.kept.v1"
REPORT_TYPES: Final = frozenset({IncidentReported.type, IncidentRevised.type})


class KeptText(Wire):
    """The free text of one act: a reason or a question, and with `verified` the documents that suffice without a primary source."""

    text: Text
    documentation_exception: Text | None = None


class KeptTexts(Wire):
    """The free texts of the acts of one request, in their order."""

    lines: list[KeptText]


class Safe:
    """The only place where sealed things are opened after they came in."""

    def __init__(self, *, opener: SealedOpener, trust: Trust) -> None:
        self._opener = opener
        self._trust = trust

    def open_report(self, envelope: bytes, *, situation: str, incident: UUID) -> IncidentReport:
        """Return the report inside a kept envelope; raises SealError or UnusableKeyError."""
        expect = Expectation(types=REPORT_TYPES, writer="intake", subject=str(incident), situation=situation)
        header, payload = self._opener(envelope, expect)
        kind = IncidentReported if header.type == IncidentReported.type else IncidentRevised
        return kind.model_validate_json(payload).report

    def open_texts(self, envelope: bytes, *, situation: str, text: UUID) -> Sequence[KeptText]:
        """Return free texts that were kept together; raises SealError or UnusableKeyError."""
        expect = Expectation(types=frozenset({TEXT_TYPE}), writer=HOLDER, subject=str(text), situation=situation)
        _, payload = self._opener(envelope, expect)
        return KeptTexts.model_validate_json(payload).lines

    def seal_texts(self, lines: Sequence[KeptText], *, situation: Situation, text: UUID, at: datetime, signer: Signer) -> bytes:
        """Seal free texts of one request together, so that only verification can read them again; raises UnvouchedKey."""
        recipients = keys_of(situation, (HOLDER,), self._trust)
        header = Header.of(
            event_type=TEXT_TYPE,
            situation=situation.code,
            subject=str(text),
            event=text,
            sequence=0,
            writer=HOLDER,
            at=at,
            signing=signer.id,
            recipients=[key.id for key in recipients],
        )
        return seal(header=header, payload=KeptTexts(lines=list(lines)).model_dump_json().encode(), recipients=recipients, signer=signer)
