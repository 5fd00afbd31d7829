"""An exchange file on its way through the services: step by step, each completely counted before the next."""

from contracts.exchange import ExchangeFile
from mrm.exchange_plan import OWN_REASON, Plan
from mrm.journey import Journey, Told


async def apply_steps(journey: Journey, document: ExchangeFile, plan: Plan, *, told: Told) -> list[int]:
    """Apply the steps of a file; returns the position that aggregation reached at the end of each."""
    positions = []
    for number, step in enumerate(document.steps):
        reports = plan.reports(step)
        await journey.submit(reports, told=told, places=[f"steps[{number}].incidents[{index}]" for index in range(len(reports))])
        await journey.wait_for_reports(plan.incidents, plan.revisions)
        sent = 0
        for decided in plan.rounds(step, number):
            own = sum(line["reason"] == OWN_REASON for line in decided.lines)
            if decided.slot in ("focal_point", "technical"):
                await journey.decide(decided.slot, decided.lines, places=decided.places)
            else:
                await journey.decide_together(decided.lines, kind=decided.slot, places=decided.places)
            told(own)
            sent += own
        told(len(step.decisions) - sent)
        links, places = plan.links(step, number)
        told(len(step.links) - len(links))
        await journey.link(links, told=told, places=places)
        positions.append(await journey.wait_until_counted())
    return positions


def size_of(document: ExchangeFile) -> int:
    """Return how many records the steps of a file hold."""
    return sum(len(step.incidents) + len(step.decisions) + len(step.links) for step in document.steps)
