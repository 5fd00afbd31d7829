"""Every SQL statement of export: snapshots as received, submissions, approvals, bundles."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from chassis.storage import Tx
from contracts.bundle.manifest import NarrativeSource, Previous
from export.bundle import Bundle
from export.domain.drafting import Snapshot
from export.domain.submissions import GivenApproval, State, Submission

_SUBMISSION = """situation, submission, product, snapshot, state, revision, digest, figures, narrative::text, previous, previous_manifest,
    drafted_by, drafted_at, edited_at, signed_at"""
_SNAPSHOT = "situation, snapshot, position, as_of, window_from, window_to, rules, params, frozen_by, frozen_at"
After = tuple[datetime, UUID] | None


async def add_snapshot(tx: Tx, snapshot: Snapshot, *, digest: bytes) -> bool:
    """Keep a snapshot unless one of this id is there; returns whether it was new."""
    added = await tx.fetchval(
        """
        insert into snapshots
            (situation, snapshot, position, as_of, window_from, window_to, rules, params, tables, digest, frozen_by, frozen_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (situation, snapshot) do nothing returning true
        """,
        snapshot.situation,
        snapshot.snapshot,
        snapshot.position,
        snapshot.as_of,
        snapshot.window_from,
        snapshot.window_to,
        snapshot.rules,
        snapshot.params,
        snapshot.tables,
        digest,
        snapshot.frozen_by,
        snapshot.frozen_at,
    )
    return added is not None


async def get_snapshot_digest(tx: Tx, *, situation: str, snapshot: UUID) -> bytes:
    """Return the digest of the content that a snapshot was received with."""
    digest: bytes = await tx.fetchval("select digest from snapshots where situation = $1 and snapshot = $2", situation, snapshot)
    return digest


async def find_snapshot(tx: Tx, *, situation: str, snapshot: UUID) -> Snapshot | None:
    """Return a snapshot with its tables."""
    row = await tx.fetchrow(f"select {_SNAPSHOT}, tables from snapshots where situation = $1 and snapshot = $2", situation, snapshot)  # noqa: S608
    return None if row is None else Snapshot(**row)


async def list_snapshots(tx: Tx, *, situation: str, after: After, limit: int) -> list[Snapshot]:
    """Return snapshots without their tables, the newest first."""
    rows = await tx.fetch(
        f"""
        select {_SNAPSHOT} from snapshots
        where situation = $1 and ($2::timestamptz is null or (frozen_at, snapshot) < ($2, $3))
        order by frozen_at desc, snapshot desc limit $4
        """,  # noqa: S608 - our own column list
        situation,
        *(after or (None, None)),
        limit,
    )
    return [Snapshot(**row, tables={}) for row in rows]


async def add_submission(tx: Tx, submission: Submission) -> None:
    """Add a draft."""
    await tx.execute(
        """
        insert into submissions (situation, submission, product, snapshot, state, revision, digest, figures, narrative, previous,
            previous_manifest, drafted_by, drafted_at, edited_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        submission.situation,
        submission.submission,
        submission.product,
        submission.snapshot,
        submission.state.value,
        submission.revision,
        submission.digest,
        submission.figures,
        submission.narrative.model_dump(mode="json"),
        submission.previous.submission if submission.previous else None,
        submission.previous.manifest_sha256 if submission.previous else None,
        submission.drafted_by,
        submission.drafted_at,
        submission.edited_at,
    )


async def save_draft(tx: Tx, submission: Submission) -> None:
    """Replace the content of a draft by its next revision; approvals of the one before count no more."""
    await tx.execute(
        """
        update submissions set snapshot = $3, revision = $4, digest = $5, figures = $6, narrative = $7, previous = $8,
            previous_manifest = $9, edited_at = $10
        where situation = $1 and submission = $2
        """,
        submission.situation,
        submission.submission,
        submission.snapshot,
        submission.revision,
        submission.digest,
        submission.figures,
        submission.narrative.model_dump(mode="json"),
        submission.previous.submission if submission.previous else None,
        submission.previous.manifest_sha256 if submission.previous else None,
        submission.edited_at,
    )


async def find_submission(tx: Tx, *, situation: str, submission: UUID) -> Submission | None:
    """Return a submission."""
    row = await tx.fetchrow(f"select {_SUBMISSION} from submissions where situation = $1 and submission = $2", situation, submission)  # noqa: S608
    return None if row is None else _submission(row)


async def lock_submission(tx: Tx, *, situation: str, submission: UUID) -> Submission | None:
    """Return a submission and keep others from changing it until the commit; one that the act cannot change needs no lock."""
    row = await tx.fetchrow(
        f"select {_SUBMISSION} from submissions where situation = $1 and submission = $2 for update",  # noqa: S608
        situation,
        submission,
    )
    return await find_submission(tx, situation=situation, submission=submission) if row is None else _submission(row)


async def list_submissions(tx: Tx, *, situation: str, after: After, limit: int) -> list[Submission]:
    """Return submissions, the newest first."""
    rows = await tx.fetch(
        f"""
        select {_SUBMISSION} from submissions
        where situation = $1 and ($2::timestamptz is null or (drafted_at, submission) < ($2, $3))
        order by drafted_at desc, submission desc limit $4
        """,  # noqa: S608 - our own column list
        situation,
        *(after or (None, None)),
        limit,
    )
    return [_submission(row) for row in rows]


async def list_unsigned(tx: Tx) -> list[tuple[str, UUID]]:
    """Return situation and id of every submission that is approved and not signed yet."""
    rows = await tx.fetch("select situation, submission from submissions where state = 'signing' order by edited_at")
    return [(row["situation"], row["submission"]) for row in rows]


async def add_approval(tx: Tx, given: GivenApproval, *, situation: str, submission: UUID) -> None:
    """Add an approval; the database refuses one of other content, and a second one by the same person or role."""
    await tx.execute(
        """
        insert into approvals (situation, submission, revision, digest, role, approved_by, name, approved_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        situation,
        submission,
        given.revision,
        given.digest,
        given.role,
        given.approved_by,
        given.name,
        given.approved_at,
    )


async def list_approvals(tx: Tx, *, situation: str, submission: UUID) -> list[GivenApproval]:
    """Return every approval ever given to a submission, those of earlier revisions too, in order."""
    rows = await tx.fetch(
        """
        select revision, digest, role, approved_by, name, approved_at from approvals
        where situation = $1 and submission = $2 order by approved_at, role
        """,
        situation,
        submission,
    )
    return [GivenApproval(**row) for row in rows]


async def freeze_submission(tx: Tx, *, situation: str, submission: UUID) -> None:
    """Let a draft with both approvals wait for its signatures."""
    await tx.execute("update submissions set state = 'signing' where situation = $1 and submission = $2", situation, submission)


async def add_bundle(tx: Tx, bundle: Bundle, *, situation: str, submission: UUID) -> None:
    """Keep the signed bundle and close the submission for good."""
    await tx.execute(
        "insert into bundles (situation, submission, bundle, sha256, manifest_sha256, signed_at) values ($1, $2, $3, $4, $5, $6)",
        situation,
        submission,
        bundle.raw,
        bundle.sha256,
        bundle.manifest_sha256,
        tx.now,
    )
    await tx.execute(
        "update submissions set state = 'signed', signed_at = $3 where situation = $1 and submission = $2", situation, submission, tx.now
    )


async def find_bundle_facts(tx: Tx, *, situation: str, submission: UUID) -> tuple[str, str, int] | None:
    """Return the digests of a signed bundle and its manifest, and its size."""
    row = await tx.fetchrow(
        "select sha256, manifest_sha256, length(bundle) as size from bundles where situation = $1 and submission = $2",
        situation,
        submission,
    )
    return None if row is None else (row["sha256"], row["manifest_sha256"], row["size"])


async def find_bundle(tx: Tx, *, situation: str, submission: UUID) -> bytes | None:
    """Return the signed bundle."""
    raw: bytes | None = await tx.fetchval("select bundle from bundles where situation = $1 and submission = $2", situation, submission)
    return raw


async def delete_situation(tx: Tx, situation: str) -> None:
    """Delete every row of a removed situation; the database refuses it for any other."""
    await tx.execute("delete from bundles where situation = $1", situation)
    await tx.execute("delete from approvals where situation = $1", situation)
    await tx.execute("delete from submissions where situation = $1", situation)
    await tx.execute("delete from snapshots where situation = $1", situation)


def _submission(row: asyncpg.Record) -> Submission:
    values: dict[str, Any] = dict(row)
    previous, manifest = values.pop("previous"), values.pop("previous_manifest")
    return Submission(
        **values
        | {
            "state": State(values["state"]),
            "narrative": NarrativeSource.model_validate_json(values["narrative"]),
            "previous": Previous(submission=previous, manifest_sha256=manifest) if previous is not None else None,
        }
    )
