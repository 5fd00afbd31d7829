"""The events that intake lets leave."""

from datetime import datetime

from chassis.storage import Tx
from contracts.events import IncidentReported, IncidentRevised
from contracts.incident import IncidentReport


def publish_report(tx: Tx, report: IncidentReport, *, revision: int, submitted_by: str, received_at: datetime) -> None:
    """Let an accepted report leave for verification, the monitor's name inside the seal."""
    event: IncidentReported | IncidentRevised
    if revision == 1:
        event = IncidentReported(
            situation=report.situation, incident=report.key, submitted_by=submitted_by, received_at=received_at, report=report
        )
    else:
        event = IncidentRevised(
            situation=report.situation,
            incident=report.key,
            revision=revision,
            submitted_by=submitted_by,
            received_at=received_at,
            report=report,
        )
    tx.publish(event, subject=str(report.key))
