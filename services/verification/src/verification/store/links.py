"""SQL of links between violations and between children."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from asyncpg import Record

from chassis.storage import Tx
from verification.domain.links import LinkAct, LinkKind, StandingLink
from verification.domain.references import Reference


async def list_held_children(tx: Tx, situation: str, children: Iterable[Reference]) -> set[Reference]:
    """Return those children (by pseudonym) that their incidents hold now."""
    distinct = list(dict.fromkeys(children))
    rows = await tx.fetch(
        """
        select c.incident, c.child from unnest($2::uuid[], $3::text[]) as asked (incident, child)
        join children c on c.situation = $1 and c.incident = asked.incident and c.child = asked.child and c.held
        """,
        situation,
        [reference.incident for reference in distinct],
        [reference.item for reference in distinct],
    )
    return {Reference(row["incident"], row["child"]) for row in rows}


async def list_concerned(tx: Tx, situation: str, *, items: Sequence[Reference], originals: Sequence[Reference]) -> list[StandingLink]:
    """Return the standing links at any of the ends, and all duplicate links reachable from the originals, idle ones included."""
    ends = [*items, *originals]
    rows = await tx.fetch(
        """
        with recursive ends as (
            select * from unnest($2::uuid[], $3::text[]) as ends (incident, item)
        ), reached as (
            select * from unnest($4::uuid[], $5::text[]) as reached (incident, item)
            union
            select l.of_incident, l.of_item from reached
            join links l on l.situation = $1 and l.kind = 'duplicate' and l.undone_recorded is null
                and l.incident = reached.incident and l.item = reached.item
        )
        select l.link, l.kind, l.incident, l.item, l.of_incident, l.of_item from links l
        where l.situation = $1 and l.undone_recorded is null and ((l.incident, l.item) in (select incident, item from ends)
            or (l.kind = 'duplicate' and (l.incident, l.item) in (select incident, item from reached))
            or (l.kind = 'same_child' and (l.of_incident, l.of_item) in (select incident, item from ends)))
        """,
        situation,
        [end.incident for end in ends],
        [end.item for end in ends],
        [end.incident for end in originals],
        [end.item for end in originals],
    )
    return [_standing(row) for row in rows]


async def save_acts(tx: Tx, situation: str, acts: Sequence[LinkAct], *, recorded: int) -> None:
    """Keep acts in their order; the first one has the number `recorded`. A link made and undone in one go is kept with both."""
    for number, act in enumerate(acts, start=recorded):
        link = act.standing
        if act.undone:
            await tx.execute(
                """
                update links set undone_recorded = $3, undone_at = $4, undone_by = $5
                where situation = $1 and link = $2 and undone_recorded is null
                """,
                situation,
                link.link,
                number,
                tx.now,
                tx.actor,
            )
        else:
            await tx.execute(
                """
                insert into links (situation, link, kind, incident, item, of_incident, of_item, recorded, recorded_at, recorded_by)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """,
                situation,
                link.link,
                link.kind,
                link.item.incident,
                link.item.item,
                link.of.incident,
                link.of.item,
                number,
                tx.now,
                tx.actor,
            )


async def list_links(tx: Tx, situation: str, *, after: int, limit: int) -> list[Record]:
    """Return the standing links in recording order; `idle` tells that a revision has left out one of the ends."""
    return await tx.fetch(
        """
        select l.link, l.kind, l.incident, l.item, l.of_incident, l.of_item, l.recorded, l.recorded_at, l.recorded_by,
            case l.kind
                when 'duplicate' then (select count(*) from violations v where v.situation = l.situation and v.held
                    and (v.incident, v.violation) in ((l.incident, l.item), (l.of_incident, l.of_item))) < 2
                else (select count(*) from children c where c.situation = l.situation and c.held
                    and (c.incident, c.child) in ((l.incident, l.item), (l.of_incident, l.of_item))) < 2
            end as idle
        from links l where l.situation = $1 and l.undone_recorded is null and l.recorded > $2 order by l.recorded limit $3
        """,
        situation,
        after,
        limit,
    )


async def list_links_of(tx: Tx, situation: str, incident: UUID) -> list[Record]:
    """Return the standing links that touch an incident."""
    return await tx.fetch(
        """
        select link, kind, incident, item, of_incident, of_item, recorded, recorded_at, recorded_by from links
        where situation = $1 and undone_recorded is null and (incident = $2 or of_incident = $2) order by recorded
        """,
        situation,
        incident,
    )


def _standing(row: Record) -> StandingLink:
    return StandingLink(
        link=row["link"],
        kind=LinkKind(row["kind"]),
        item=Reference(row["incident"], row["item"]),
        of=Reference(row["of_incident"], row["of_item"]),
    )
