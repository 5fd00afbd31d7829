"""What intake does with the events it reads."""

from chassis.errors import Rejected
from chassis.register import Register
from chassis.storage import Handler, Tx
from contracts.events import Event, IncidentProgressed
from intake import device_store, store


async def situation_removed(situation: str, tx: Tx) -> None:
    """Forget a removed (scratch) situation."""
    await store.delete_situation(tx, situation)
    await device_store.delete_situation(tx, situation)


def handlers(register: Register) -> dict[type[Event], Handler]:
    """Return the handlers by the event they handle."""

    async def incident_progressed(event: IncidentProgressed, tx: Tx) -> None:
        """Show the monitor how far their report has come; what is older than what is shown already changes nothing."""
        known = await store.save_progress(
            tx, situation=event.situation, incident=event.incident, status=event.status, needs=event.needs, at=event.at
        )
        if not known and await register.find_in(tx, event.situation) is not None:
            raise Rejected("incident_unknown")

    return {IncidentProgressed: incident_progressed}
