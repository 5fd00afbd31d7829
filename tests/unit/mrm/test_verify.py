"""The offline verifier: a genuine bundle passes, and nothing else does."""

import contextlib
import copy
import io
import json
import random
import secrets
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chassis.sealing.trust import Trust
from contracts.bundle.archive import MAX_BUNDLE_BYTES, read_archive, write_archive
from contracts.bundle.dsse import SignedManifest, read_signatures, signing_input
from contracts.bundle.manifest import FIGURES, MANIFEST, NARRATIVE, NARRATIVE_SOURCE, REPORT, SIGNATURES, WORKBOOK, FileEntry, read_manifest
from contracts.envelope import canonical_json
from export.bundle import data_files
from mrm.app import run as run_command
from mrm.bundle_checks import check_bundle
from mrm.workbook import MAX_INFLATED_BYTES
from support.bundles import CREATED_AT, SMALL, Keys, approvals, content, figures, keys, signed

Files = list[tuple[str, bytes]]
CHECKS = [
    "canonical zip",
    "manifest",
    "signature file",
    "Ed25519 signature",
    "ML-DSA-65 signature",
    "files",
    "checksums",
    "figures",
    "sums",
    "tables",
    "workbook",
    "narrative",
    "approvals",
]


@cache
def genuine() -> bytes:
    """A small signed bundle; its report is a stand-in, for the verifier treats it as bytes."""
    return signed(content(figures(SMALL)), files={REPORT: b"%PDF-1.7 a stand-in of a few bytes"}).raw


def first_failure(raw: bytes, trust: Trust | None = None) -> str | None:
    failed = [check for check in check_bundle(raw, trust or keys().trust) if not check.ok]
    return failed[0].check if failed else None


def resigned(files: Files, *, by: Keys | None = None) -> bytes:
    """Make manifest and signatures anew over changed files, as somebody with keys would."""
    manifest = read_manifest(dict(files)[MANIFEST])
    listed = [(name, raw) for name, raw in files if name not in (MANIFEST, SIGNATURES)]
    again = manifest.model_copy(update={"files": [FileEntry.of(name, raw) for name, raw in listed]}).encode()
    return with_manifest(again, listed, by=by)


def with_manifest(manifest: bytes, listed: Files, *, by: Keys | None = None) -> bytes:
    signatures = SignedManifest.of(manifest, [(signer.id, signer.sign(signing_input(manifest))) for signer in (by or keys()).signers])
    return write_archive([(MANIFEST, manifest), (SIGNATURES, signatures.encode()), *listed])


def replaced(name: str, change: Callable[[bytes], bytes]) -> Files:
    return [(known, change(raw) if known == name else raw) for known, raw in read_archive(genuine())]


def test_a_genuine_bundle_passes_every_check() -> None:
    checks = check_bundle(signed(content()).raw, keys().trust)
    assert [check.check for check in checks] == CHECKS
    assert all(check.ok for check in checks)


def test_every_altered_byte_of_a_bundle_is_refused() -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    masks = random.Random(seed)
    raw = bytearray(genuine())
    for position, byte in enumerate(raw):
        raw[position] = byte ^ masks.randrange(1, 256)
        assert first_failure(bytes(raw)) is not None, position
        raw[position] = byte
    assert first_failure(bytes(raw)) is None


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURES])
def test_every_altered_byte_under_a_correct_zip_is_refused(name: str) -> None:
    files = dict(read_archive(genuine()))
    original = files[name]
    for position in range(len(original)):
        for mask in (0x01, 0x20, 0x80):
            changed = bytearray(original)
            changed[position] ^= mask
            assert first_failure(write_archive(list((files | {name: bytes(changed)}).items()))) is not None, (position, mask)


def test_every_file_is_bound_by_its_checksum() -> None:
    for name, raw in read_archive(genuine())[2:]:
        for position in {0, len(raw) // 2, len(raw) - 1}:
            changed = bytearray(raw)
            changed[position] ^= 1
            altered = write_archive(replaced(name, lambda _, changed=changed: bytes(changed)))
            assert first_failure(altered) == "checksums", name


def test_a_bundle_cut_anywhere_is_refused() -> None:
    raw = genuine()
    lengths = {*range(min(200, len(raw))), *range(0, len(raw), 97), len(raw) - 1}
    assert all(first_failure(raw[:length]) == "canonical zip" for length in lengths)


@pytest.mark.parametrize("extra", [b"\0", b"PK\x05\x06", b"\n"])
def test_appended_and_prepended_bytes_are_refused(extra: bytes) -> None:
    assert first_failure(genuine() + extra) == "canonical zip"
    assert first_failure(extra + genuine()) == "canonical zip"


def test_a_zip_of_the_same_files_made_by_others_is_refused() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, raw in read_archive(genuine()):
            archive.writestr(name, raw)
    assert first_failure(target.getvalue()) == "canonical zip"


@pytest.mark.parametrize("name", [name for name, _ in read_archive(genuine())])
def test_a_missing_file_is_refused(name: str) -> None:
    kept = [(known, raw) for known, raw in read_archive(genuine()) if known != name]
    expected = {MANIFEST: "manifest", SIGNATURES: "signature file"}.get(name, "files")
    assert first_failure(write_archive(kept)) == expected
    if name not in (MANIFEST, SIGNATURES):
        assert first_failure(resigned(kept)) == "figures"


def test_an_extra_file_is_refused_even_if_it_is_signed() -> None:
    files = [*read_archive(genuine()), ("tables/zzz.csv", b"a,b\r\n")]
    assert first_failure(write_archive(files)) == "files"
    assert first_failure(resigned(files)) == "figures"


def test_reordered_files_are_refused_even_if_they_are_signed() -> None:
    first, second, *rest = read_archive(genuine())
    assert first_failure(write_archive([second, first, *rest])) == "files"
    assert first_failure(write_archive([first, second, *reversed(rest)])) == "files"
    assert first_failure(resigned([first, second, *reversed(rest)])) == "files"


@pytest.mark.parametrize(("index", "check"), [(0, "Ed25519 signature"), (1, "ML-DSA-65 signature")])
def test_each_of_the_two_signatures_is_needed(index: int, check: str) -> None:
    by, other = keys(), keys("somebody else")
    files = dict(read_archive(genuine()))
    message = signing_input(files[MANIFEST])
    own = [(signer.id, signer.sign(message)) for signer in by.signers]
    foreign = [(signer.id, signer.sign(message)) for signer in other.signers]

    def outcome(pairs: list[tuple[str, bytes]]) -> str | None:
        return first_failure(write_archive(list((files | {SIGNATURES: SignedManifest.of(files[MANIFEST], pairs).encode()}).items())))

    assert outcome(own) is None
    assert outcome([pair for place, pair in enumerate(own) if place != index]) == "signature file"
    assert outcome([foreign[place] if place == index else pair for place, pair in enumerate(own)]) == check
    assert outcome([(pair[0], foreign[place][1]) if place == index else pair for place, pair in enumerate(own)]) == check
    assert outcome([own[1 - place] if place == index else pair for place, pair in enumerate(own)]) == check
    assert outcome(own[::-1]) == "Ed25519 signature"
    assert outcome([*own, own[0]]) == "signature file"
    assert outcome([]) == "signature file"


def test_signatures_over_another_manifest_are_refused() -> None:
    other = dict(read_archive(signed(content(figures(SMALL, position=7)), files={REPORT: b"%PDF"}).raw))
    assert first_failure(write_archive(replaced(SIGNATURES, lambda _: other[SIGNATURES]))) == "signature file"


def test_swapped_trust_is_refused() -> None:
    assert first_failure(genuine(), keys("somebody else").trust) == "Ed25519 signature"
    assert first_failure(genuine(), Trust()) == "Ed25519 signature"
    only_one = Trust().with_submission(keys().signers[0].public)
    assert first_failure(genuine(), only_one) == "ML-DSA-65 signature"


def test_edited_figures_with_a_new_manifest_need_the_keys() -> None:
    tables = copy.deepcopy(SMALL)
    tables["summary"]["violations"] = 2
    tables["summary"]["by_grave_violation"]["recruitment_and_use"] = 1
    forged = content(figures(tables))
    files = data_files(figures(tables), forged.narrative, created_at=CREATED_AT)
    changed: Files = [(name, files.get(name, raw)) for name, raw in read_archive(genuine())]
    assert first_failure(write_archive(changed)) == "checksums"
    manifest = resigned(changed, by=keys("somebody else"))
    assert first_failure(manifest) == "Ed25519 signature"
    spliced = dict(read_archive(manifest)) | {SIGNATURES: dict(read_archive(genuine()))[SIGNATURES]}
    assert first_failure(write_archive(list(spliced.items()))) == "signature file"
    own = SignedManifest.of(spliced[MANIFEST], [(one.keyid, b"\0" * 64) for one in read_signatures(spliced[SIGNATURES]).signatures])
    assert first_failure(write_archive(list((spliced | {SIGNATURES: own.encode()}).items()))) == "Ed25519 signature"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("summary", "violations"), 4),
        (("summary", "by_grave_violation", "abduction"), 1),
        (("summary", "children", "total"), 3),
        (("summary", "late", "violations"), 1),
        (("verified_children", "recruitment", "boys"), 2),
        (("verified_incidents", "denial_humanitarian_access"), 2),
    ],
)
def test_sums_that_do_not_add_up_are_refused_though_signed(path: tuple[str, ...], value: int) -> None:
    tables = copy.deepcopy(SMALL)
    node: Any = tables
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    assert first_failure(signed(content(figures(tables)), files={REPORT: b"%PDF"}).raw) == "sums"


@pytest.mark.parametrize("value", [-1, 2.0, True, "2", None, 2**60])
def test_numbers_that_are_no_counts_are_refused_though_signed(value: object) -> None:
    tables = copy.deepcopy(SMALL)
    tables["verified_incidents"]["denial_humanitarian_access"] = value
    raw = figures(tables).encode()
    files = replaced(FIGURES, lambda _: raw)
    assert first_failure(resigned(files)) in ("figures", "sums")


@pytest.mark.parametrize("name", ["tables/summary.csv", WORKBOOK, NARRATIVE, NARRATIVE_SOURCE])
def test_tables_workbook_and_narrative_must_be_the_figures_though_signed(name: str) -> None:
    other = figures(SMALL | {"verified_children": {"recruitment": {"boys": 2, "girls": 0, "unknown": 0, "total": 2}}}, params={})
    tables = copy.deepcopy(SMALL)
    tables["summary"]["late"]["violations"] = tables["summary"]["late"]["by_grave_violation"]["denial_of_humanitarian_access"] = 5
    shown = figures(tables, params=other.params)
    files = data_files(shown, content(shown).narrative, created_at=CREATED_AT)
    expected = {"tables/summary.csv": "tables", WORKBOOK: "workbook", NARRATIVE: "narrative", NARRATIVE_SOURCE: "narrative"}
    assert first_failure(resigned(replaced(name, lambda _: files[name]))) == expected[name]


@pytest.mark.parametrize("rubbish", [b"", b"PK\x03\x04", b"{}", b"\xff" * 2000, b"null", b"[" * 5000])
@pytest.mark.parametrize("name", [FIGURES, WORKBOOK, NARRATIVE_SOURCE, "tables/summary.csv", MANIFEST, SIGNATURES])
def test_rubbish_in_any_file_is_a_finding_and_no_error(name: str, rubbish: bytes) -> None:
    files = replaced(name, lambda _: rubbish)
    if name not in (MANIFEST, SIGNATURES):
        assert first_failure(resigned(files)) is not None
    assert first_failure(write_archive(files)) is not None


def test_a_workbook_that_would_unpack_to_gigabytes_is_not_unpacked() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * (MAX_INFLATED_BYTES + 1))
    assert first_failure(resigned(replaced(WORKBOOK, lambda _: target.getvalue()))) == "workbook"


def test_a_workbook_with_a_document_type_is_refused() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("xl/workbook.xml", b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x>&a;</x>')
    checks = check_bundle(resigned(replaced(WORKBOOK, lambda _: target.getvalue())), keys().trust)
    assert [check.detail for check in checks if not check.ok] == ["It holds XML that no workbook of a bundle has."]


def test_approvals_must_be_of_this_content_by_two_people_in_both_roles() -> None:
    of = content(figures(SMALL))
    both = approvals(of)
    files = {REPORT: b"%PDF"}

    def outcome(given: list[Any]) -> str | None:
        return first_failure(signed(of, files=files, approvals=given).raw)

    assert outcome(both) is None
    assert outcome(both[:1]) == "approvals"
    assert outcome([both[0], both[0]]) == "approvals"
    assert outcome(approvals(of, people=("same", "same"))) == "approvals"
    assert outcome(approvals(of, digest="0" * 64)) == "approvals"
    assert outcome([both[0], both[1].model_copy(update={"digest": "0" * 64})]) == "approvals"


def test_approvals_of_another_submission_do_not_count() -> None:
    of = content(figures(SMALL))
    other = replace(of, submission=UUID(int=5))
    raw = signed(of, files={REPORT: b"%PDF"}, approvals=approvals(other)).raw
    assert first_failure(raw) == "approvals"


def test_the_figures_must_be_those_of_the_manifest() -> None:
    raw = figures(SMALL, position=9).encode()
    assert first_failure(resigned(replaced(FIGURES, lambda _: raw))) == "figures"


@pytest.mark.parametrize("name", [MANIFEST, FIGURES, NARRATIVE_SOURCE])
def test_json_in_another_spelling_is_refused_though_signed(name: str) -> None:
    spelled = json.dumps(json.loads(dict(read_archive(genuine()))[name]), indent=1).encode()
    if name == MANIFEST:
        listed = read_archive(genuine())[2:]
        assert first_failure(with_manifest(spelled, listed)) == "manifest"
    else:
        assert first_failure(resigned(replaced(name, lambda _: spelled))) in ("figures", "narrative")


def test_an_unknown_format_is_refused_though_signed() -> None:
    manifest = json.loads(dict(read_archive(genuine()))[MANIFEST]) | {"format": "mrm-bundle/2"}
    assert first_failure(with_manifest(canonical_json(manifest), read_archive(genuine())[2:])) == "manifest"


# The command.


def run(*arguments: str) -> tuple[int, str, str]:
    shown, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(told):
        status = run_command(["verify", *arguments])
    return status, shown.getvalue(), told.getvalue()


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    file = tmp_path / "trust.json"
    keys().trust.save(file)
    return file


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    file = tmp_path / "bundle.zip"
    file.write_bytes(genuine())
    return file


def test_the_command_lists_what_it_checked(bundle: Path, trust: Path) -> None:
    status, shown, _ = run(str(bundle), "--trust", str(trust))
    assert status == 0
    assert [line[8:].split(":")[0] for line in shown.splitlines()[:-1]] == CHECKS
    assert shown.splitlines()[-1] == f"{bundle} is valid."


def test_the_command_answers_in_json(bundle: Path, trust: Path) -> None:
    status, shown, _ = run(str(bundle), "--trust", str(trust), "--json")
    answer = json.loads(shown)
    assert status == 0
    assert (answer["bundle"], answer["valid"], "reason" in answer) == (str(bundle), True, False)
    assert [check["check"] for check in answer["checks"]] == CHECKS
    assert len(shown.splitlines()) == 1


def test_the_command_says_why_a_bundle_is_refused(bundle: Path, trust: Path) -> None:
    raw = bytearray(bundle.read_bytes())
    raw[len(raw) // 2] ^= 1
    bundle.write_bytes(raw)
    status, shown, _ = run(str(bundle), "--trust", str(trust))
    assert status == 1
    assert "is NOT valid. canonical zip: It is not byte for byte the one canonical form of its files." in shown
    status, shown, _ = run(str(bundle), "--trust", str(trust), "--json")
    answer = json.loads(shown)
    assert status == 1
    assert answer["valid"] is False
    assert answer["reason"] == "canonical zip: It is not byte for byte the one canonical form of its files."


def test_the_installation_s_pinned_keys_count_by_default(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "var" / "keys").mkdir(parents=True)
    keys().trust.save(tmp_path / "var" / "keys" / "trust.json")
    assert run(str(bundle), "--data", str(tmp_path / "var"))[0] == 0
    monkeypatch.chdir(tmp_path)
    assert run(str(bundle))[0] == 0
    keys("somebody else").trust.save(tmp_path / "var" / "keys" / "trust.json")
    assert run(str(bundle))[0] == 1


def test_misuse_is_told_apart_from_a_bad_bundle(bundle: Path, trust: Path, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.json"
    garbage.write_bytes(b"\xff{")
    for arguments in (
        (str(tmp_path / "nothing.zip"), "--trust", str(trust)),
        (str(tmp_path), "--trust", str(trust)),
        ("/dev/zero", "--trust", str(trust)),
        (str(bundle), "--trust", str(tmp_path / "nothing.json")),
        (str(bundle), "--trust", str(garbage)),
        (str(bundle), "--data", str(tmp_path / "elsewhere")),
        (),
        (str(bundle), "--unknown"),
    ):
        status, _, error = run(*arguments)
        assert status == 2, arguments
        assert error
    status, shown, _ = run(str(tmp_path / "nothing.zip"), "--trust", str(trust), "--json")
    assert status == 2
    assert "nothing.zip" in json.loads(shown)["error"]["sentence"]


def test_garbage_empty_and_huge_files_are_refused_without_a_trace(trust: Path, tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    for raw in (b"", b"PK\x05\x06" + b"\0" * 18, b"\0" * 5000, random.Random(7).randbytes(100_000)):
        file.write_bytes(raw)
        status, shown, _ = run(str(file), "--trust", str(trust), "--json")
        assert (status, json.loads(shown)["valid"]) == (1, False)
    with file.open("wb") as huge:
        huge.truncate(MAX_BUNDLE_BYTES * 40)
    status, shown, _ = run(str(file), "--trust", str(trust), "--json")
    assert status == 1
    assert "larger than" in json.loads(shown)["reason"]


def test_a_name_that_steers_the_terminal_is_shown_harmless(trust: Path, tmp_path: Path) -> None:
    shown = figures(SMALL)
    steering = shown.model_copy(update={"situation": shown.situation.model_copy(update={"name": "\x1b[2J\x1b]0;owned\x07"})})
    file = tmp_path / "bundle.zip"
    file.write_bytes(signed(content(steering), files={REPORT: b"%PDF"}).raw)
    status, printed, _ = run(str(file), "--trust", str(trust))
    assert "\x1b" not in printed
    assert status == 0
