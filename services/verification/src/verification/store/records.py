"""SQL of the recording order: reports, decisions and links of a situation as they were recorded, one page at a time."""

from asyncpg import Record

from chassis.storage import Tx


async def list_records(tx: Tx, situation: str, *, after: int, limit: int) -> list[Record]:
    """Return what was recorded after a number, in order; `kind` is incident, decision, link or undoing."""
    return await tx.fetch(
        """
        select * from (
            (select recorded, recorded_at, 'incident' as kind, incident, null::text as item, envelope, null::jsonb as body
             from reports where situation = $1 and recorded > $2 order by recorded limit $3)
            union all
            (select recorded, recorded_at, 'decision', incident, violation, null,
                jsonb_build_object('stage', stage, 'outcome', outcome, 'decided_on', decided_on, 'attribution', attribution)
             from decisions where situation = $1 and recorded > $2 order by recorded limit $3)
            union all
            (select recorded, recorded_at, 'link', incident, item, null,
                jsonb_build_object('kind', kind, 'of', of_incident || '/' || of_item)
             from links where situation = $1 and recorded > $2 order by recorded limit $3)
            union all
            (select undone_recorded, undone_at, 'undoing', incident, item, null,
                jsonb_build_object('kind', kind, 'of', of_incident || '/' || of_item)
             from links where situation = $1 and undone_recorded > $2 order by undone_recorded limit $3)
        ) as records order by recorded limit $3
        """,
        situation,
        after,
        limit,
    )
