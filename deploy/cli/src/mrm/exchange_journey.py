"""An exchange file on its way through the services: step by step, each completely counted before the next."""

from contracts.exchange import ExchangeFile
from mrm.exchange_plan import Plan
from mrm.journey import Journey, Told


async def apply_steps(journey: Journey, document: ExchangeFile, plan: Plan, *, told: Told) -> list[int]:
    """Apply the steps of a file; returns the position that aggregation reached at the end of each."""
    positions = []
    for step in document.steps:
        reports = plan.reports(step)
        await journey.submit(reports, told=told)
        await journey.wait_for_reports(plan.incidents, plan.revisions)
        for decided in plan.rounds(step):
            if decided.slot in ("focal_point", "technical"):
                await journey.decide(decided.slot, decided.lines)
            else:
                await journey.decide_together(decided.lines, kind=decided.slot)
        told(len(step.decisions))
        await journey.link(plan.links(step), told=told)
        positions.append(await journey.wait_until_counted())
    return positions


def size_of(document: ExchangeFile) -> int:
    """Return how many records the steps of a file hold."""
    return sum(len(step.incidents) + len(step.decisions) + len(step.links) for step in document.steps)
