"""Signs what both co-chairs have approved: made outside the transaction, kept and published inside it, so a crash loses nothing."""

import asyncio
import base64
from uuid import UUID

from chassis.sealing.submission import load_submission_keys
from chassis.service import Job, Service
from chassis.storage import SYSTEM, System
from chassis.telemetry import get_logger
from contracts.bundle.manifest import APPROVING_ROLES
from contracts.events import SubmissionSigned
from export import store
from export.bundle import sign_bundle
from export.domain.submissions import State, standing

RETRY_SECONDS = 5.0
log = get_logger()


async def sign_submission(service: Service, *, situation: str, submission: UUID) -> bool:
    """Sign one approved submission and publish it; returns False if it needed no signing (any more). Harmless to do twice at once."""
    async with service.database.reading("read_approved", by=SYSTEM) as tx:
        approved = await store.find_submission(tx, situation=situation, submission=submission)
        given = await store.list_approvals(tx, situation=situation, submission=submission)
        created_at = tx.now
    if approved is None or approved.state is not State.SIGNING:
        return False
    approvals = sorted(standing(given, approved), key=lambda approval: APPROVING_ROLES.index(approval.role))
    bundle = await asyncio.to_thread(
        sign_bundle,
        approved.content,
        approvals=[approval.printed(submission) for approval in approvals],
        created_at=created_at,
        signers=load_submission_keys(service.keys, service.name),
    )
    async with service.database.transaction("sign_submission", by=System(service.name), cause=submission) as tx:
        waiting = await store.lock_submission(tx, situation=situation, submission=submission)
        if waiting is None or waiting.state is not State.SIGNING:
            return False
        await store.add_bundle(tx, bundle, situation=situation, submission=submission)
        tx.publish(
            SubmissionSigned(
                situation=situation,
                submission=submission,
                product=approved.product,
                signed_at=tx.now,
                bundle_sha256=bundle.sha256,
                bundle=base64.b64encode(bundle.raw).decode("ascii"),
            ),
            subject=situation,
        )
        tx.audit("submission.sign", situation=situation, subject_ref=str(submission), detail={"bundle_sha256": bundle.sha256})
    log.info("submission_signed", situation=situation)
    return True


async def sign_if_possible(service: Service, *, situation: str, submission: UUID) -> None:
    """Sign one submission now; what hinders it is logged and the job tries again."""
    try:
        await sign_submission(service, situation=situation, submission=submission)
    except Exception as error:  # the approvals stand, whatever hinders the signing
        log.failure("signing_failed", error, situation=situation)


def signing_job(service: Service) -> Job:
    """Return the job that signs what a crash or a missing key left unsigned."""

    async def sign_unsigned() -> None:
        async with service.database.reading("list_unsigned", by=SYSTEM) as tx:
            unsigned = await store.list_unsigned(tx)
        for situation, submission in unsigned:
            await sign_if_possible(service, situation=situation, submission=submission)

    return Job(name="sign_unsigned", every_seconds=RETRY_SECONDS, run=sign_unsigned)
