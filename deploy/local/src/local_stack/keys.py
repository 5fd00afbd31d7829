"""The keys of a local stack: made once, kept as private files, their public halves pinned in one trust file.

On an installation each service's operator makes these; here one hand makes them all.
"""

from pathlib import Path
from typing import Final

from chassis.sealing.keys import KeyFolder, PublicKey, generate_signing_key
from chassis.sealing.opening_keys import generate_opening_key
from chassis.sealing.submission import generate_submission_keys, load_submission_keys
from chassis.sealing.trust import Trust
from chassis.sealing.vouchers import VOUCHING, vouch
from contracts.topics import SERVICES
from local_stack.private_files import private_folder

HOLDERS: Final = tuple(VOUCHING)
"""Who can open something of a situation. Intake cannot, so it is not here."""
SUBMISSION_HOLDER: Final = "export"


def ensure_service_keys(keys: Path, trust_file: Path) -> None:
    """Make the signing keys that are missing and write the trust file; what exists is left alone."""
    private_folder(keys)
    trust = Trust()
    for service in SERVICES:
        folder = private_folder(keys / service)
        known = KeyFolder(folder)
        if not any(key_id.startswith(f"{service}/signing/") for key_id in known.ids()):
            generate_signing_key(service).save(folder)
        trust = trust.with_signing(known.signing_key(service).public)
    folder = keys / SUBMISSION_HOLDER
    known = KeyFolder(folder)
    if not any(key_id.startswith(f"{SUBMISSION_HOLDER}/submission-") for key_id in known.ids()):
        for key in generate_submission_keys(SUBMISSION_HOLDER):
            key.save(folder)
    trust = trust.with_submission(*(key.public for key in load_submission_keys(known, SUBMISSION_HOLDER)))
    trust.save(trust_file)


def situation_recipients(keys: Path, situation: str) -> dict[str, list[dict[str, str]]]:
    """Return the public opening keys of a situation as its document carries them, vouched for, making those that are missing."""
    recipients: dict[str, list[dict[str, str]]] = {}
    for holder in HOLDERS:
        folder = private_folder(keys / holder)
        known = KeyFolder(folder)
        prefix = f"{holder}/{situation}/"
        if not any(key_id.startswith(prefix) for key_id in known.ids()):
            generate_opening_key(holder, situation).save(folder)
        stored = known.newest_active(prefix)
        signer = KeyFolder(keys / VOUCHING[holder]).signing_key(VOUCHING[holder])
        recipients[holder] = [vouch(PublicKey(stored.id, stored.public), signer).model_dump()]
    return recipients
