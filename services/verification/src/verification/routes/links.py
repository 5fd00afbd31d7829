"""Links between violations (duplicates) and between children (the same child): made, undone, listed."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Request

from chassis.http import Caller, OncePart, PageQuery, allowed, json_body, next_cursor, problem_responses, read_json
from chassis.storage import Tx
from contracts.exchange import ExchangeLink
from verification.desk import Desk, DeskPart
from verification.domain.links import LinkKind, Links, ProposedLink
from verification.domain.references import Reference, parse_reference
from verification.messages.answers import LinkActShown, LinkList, LinksRecorded
from verification.messages.facts import link_fact
from verification.messages.requests import LinksBody, ends_of
from verification.routes.refusing import refuse
from verification.routes.seeing import record_search
from verification.routes.showing import link_shown
from verification.store import ledgers, violations
from verification.store import links as store

KINDS = {
    "duplicate": (LinkKind.DUPLICATE, False),
    "not_duplicate": (LinkKind.DUPLICATE, True),
    "same_child": (LinkKind.SAME_CHILD, False),
    "not_same_child": (LinkKind.SAME_CHILD, True),
}
router = APIRouter(tags=["links"])


@router.post(
    "/v1/situations/{situation}/links",
    status_code=201,
    openapi_extra=json_body(LinksBody),
    responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422),
)
async def record_links(
    situation: str, request: Request, caller: Annotated[Caller, allowed("link.record")], desk: DeskPart, once: OncePart
) -> LinksRecorded:
    """Make or undo links, all or none. A child is named by the victim's key in its report, or by its pseudonym."""
    caller.require(situation)
    await desk.register.get(situation)
    body = await read_json(request, LinksBody)
    async with once.transaction(desk.database, "record_links", caller) as tx:
        await desk.enter(tx, situation)
        proposed = await _resolve(tx, desk, situation, body.links)
        items = [one.item for one in proposed if one.item is not None]
        originals = [one.of for one in proposed if one.of is not None]
        standing = Links(await store.list_concerned(tx, situation, items=items, originals=originals))
        acts, refused = standing.apply(proposed, field="links")
        refuse(refused)
        first = await ledgers.advance(tx, situation, recorded=len(acts), facts=len(acts)) or 0
        await store.save_acts(tx, situation, acts, recorded=first)
        for act, written in zip(acts, body.links, strict=True):
            fact, subject = link_fact(situation, act, recorded_at=tx.now)
            tx.publish(fact, subject=subject)
            tx.audit(
                "link.record",
                situation=situation,
                subject_ref=str(act.standing.item),
                detail={"link": str(act.standing.link), "kind": written.kind, "of": str(act.standing.of)},
            )
        numbered = enumerate(acts, start=first)
        return once.answer(LinksRecorded(links=[LinkActShown(link=act.standing.link, recorded=number) for number, act in numbered]))


@router.get("/v1/situations/{situation}/links", responses=problem_responses(401, 403, 404, 422))
async def list_links(situation: str, caller: Annotated[Caller, allowed("link.read")], desk: DeskPart, page: PageQuery) -> LinkList:
    """List the standing links in recording order."""
    caller.require(situation)
    await desk.register.get(situation)
    after = page.after(int)
    async with desk.database.transaction("list_links", by=caller) as tx:
        rows = await store.list_links(tx, situation, after=after[0] if after else 0, limit=page.limit + 1)
        shown = rows[: page.limit]
        record_search(tx, caller, situation, "links", found=len(shown), page=after is not None)
    return LinkList(
        items=[link_shown(row) for row in shown],
        next=next_cursor(page, len(rows), last=(shown[-1]["recorded"],) if shown else ()),
    )


async def _resolve(tx: Tx, desk: Desk, situation: str, links: Sequence[ExchangeLink]) -> list[ProposedLink]:
    """Return the links with references only to what is held now; the others become None."""
    ends = [(parse_reference(item), parse_reference(of), *KINDS[link.kind]) for link in links for item, of in (ends_of(link),)]
    named = {kind: {end for item, of, one, _ in ends if one is kind for end in (item, of) if end is not None} for kind in LinkKind}
    held = await violations.find_violations(tx, situation, named[LinkKind.DUPLICATE])
    pseudonyms = {
        child: Reference(child.incident, desk.pseudonyms.child(situation=situation, incident=child.incident, key=child.item))
        for child in named[LinkKind.SAME_CHILD]
    }
    children = await store.list_held_children(tx, situation, {*pseudonyms, *pseudonyms.values()})

    def resolved(kind: LinkKind, end: Reference | None) -> Reference | None:
        if end is None:
            return None
        if kind is LinkKind.DUPLICATE:
            return end if end in held else None
        return next((child for child in (pseudonyms[end], end) if child in children), None)

    return [
        ProposedLink(kind=kind, undo=undo, item=resolved(kind, item), of=resolved(kind, of), link=tx.derived_id(f"link/{index}"))
        for index, (item, of, kind, undo) in enumerate(ends)
    ]
