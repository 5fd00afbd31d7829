"""What verification does with reports: keep them sealed, open their violations for vetting, publish their coded facts."""

from collections.abc import Mapping

from chassis.errors import Rejected
from chassis.storage import Handler, Tx
from contracts.events import Event, IncidentReported, IncidentRevised
from contracts.incident import check_incident
from contracts.situation import Situation
from verification.casework import move_cases
from verification.desk import Desk
from verification.domain.progress import REVISION_BEFORE_DECISION
from verification.domain.reports import CodedReport, code_report, precedes_a_decision
from verification.messages.facts import incident_coded
from verification.store import incidents, ledgers
from verification.store.incidents import SealedReport

ReportEvent = IncidentReported | IncidentRevised


class Handlers:
    """The handlers of the events that verification reads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def by_event(self) -> Mapping[type[Event], Handler]:
        """Return what handles which event."""
        return {IncidentReported: self.incident_reported, IncidentRevised: self.incident_revised}

    async def incident_reported(self, event: IncidentReported, tx: Tx) -> None:
        """Open every alleged violation of a new incident for vetting; each is pending from now on (C1)."""
        situation = await self._checked(event, tx)
        recorded = await ledgers.advance(tx, event.situation, recorded=1, facts=1, incidents=1)
        if recorded is None:
            raise Rejected("unknown_situation")
        report = self._sealed(event, tx, code_report(event.report, situation))
        submitter = self._desk.mark_of(event.situation, event.submitted_by)
        if not await incidents.add_incident(tx, event.situation, report, submitter=submitter, recorded=recorded):
            raise Rejected("incident_known")
        self._publish(event, tx)

    async def incident_revised(self, event: IncidentRevised, tx: Tx) -> None:
        """Put a revision in force, or refuse it and tell the monitor if a decision recorded is older than its new first day."""
        situation = await self._checked(event, tx)
        if await ledgers.lock_ledger(tx, event.situation) is None:
            raise Rejected("unknown_situation")
        known = await incidents.find_incident(tx, event.situation, event.incident)
        if known is None:
            raise Rejected("incident_unknown")
        if known.submitter != self._desk.mark_of(event.situation, event.submitted_by):
            raise Rejected("another_submitter")
        if event.revision <= known.seen:
            raise Rejected("revision_known")
        coded = code_report(event.report, situation)
        if precedes_a_decision(coded, await incidents.list_earliest_decisions(tx, event.situation, event.incident)):
            await self._refuse(event, tx)
        else:
            await self._put_in_force(event, tx, coded)

    async def _put_in_force(self, event: IncidentRevised, tx: Tx, coded: CodedReport) -> None:
        recorded = await ledgers.advance(tx, event.situation, recorded=1, facts=1, revisions=1)
        if recorded is None:
            raise Rejected("unknown_situation")
        await incidents.revise_incident(tx, event.situation, self._sealed(event, tx, coded), recorded=recorded)
        self._publish(event, tx)
        await move_cases(tx, event.situation, [event.incident], lambda case: case.progress.revised(settled=case.settled))

    async def _refuse(self, event: IncidentRevised, tx: Tx) -> None:
        await ledgers.advance(tx, event.situation, refused=1)
        await incidents.add_refused_revision(
            tx,
            event.situation,
            incident=event.incident,
            revision=event.revision,
            envelope=_envelope(tx),
            refusal=REVISION_BEFORE_DECISION,
        )
        tx.audit(
            "revision.refuse",
            situation=event.situation,
            subject_ref=str(event.incident),
            detail={"revision": event.revision, "code": REVISION_BEFORE_DECISION},
        )
        await move_cases(tx, event.situation, [event.incident], lambda case: case.progress.revision_refused())

    async def _checked(self, event: ReportEvent, tx: Tx) -> Situation:
        """Check a report against the register as intake did at the door: the register may have changed, or intake be wrong."""
        await self._desk.check_secret(tx)
        situation = await self._desk.register.find(event.situation)
        if situation is None:
            raise Rejected("unknown_situation")
        if event.report.key != event.incident or event.report.situation != event.situation:
            raise Rejected("contradiction")
        first = isinstance(event, IncidentReported)
        errors = check_incident(event.report, situation, today=situation.today(event.received_at), first=first)
        if errors:
            raise Rejected(errors[0].code)
        return situation

    def _sealed(self, event: ReportEvent, tx: Tx, coded: CodedReport) -> SealedReport:
        pseudonyms = self._desk.pseudonyms
        return SealedReport(
            incident=event.incident,
            revision=event.revision,
            envelope=_envelope(tx),
            coded=coded,
            children=[
                pseudonyms.child(situation=event.situation, incident=event.incident, key=victim.key) for victim in event.report.victims
            ],
        )

    def _publish(self, event: ReportEvent, tx: Tx) -> None:
        tx.audit("incident.record", situation=event.situation, subject_ref=str(event.incident), detail={"revision": event.revision})
        tx.publish(incident_coded(event, self._desk.pseudonyms, recorded_at=tx.now), subject=str(event.incident))


def _envelope(tx: Tx) -> bytes:
    if tx.received is None:
        raise RuntimeError("a report is handled without the message it came in")
    return tx.received
