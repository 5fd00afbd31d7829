"""The zip of a bundle has one form."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.bundle.archive import MAX_BUNDLE_BYTES, MAX_FILES, read_archive, write_archive
from contracts.bundle.manifest import BundleError

NAMES = st.from_regex(r"(tables/)?[a-z][a-z0-9_.-]{0,20}", fullmatch=True)
FILES = st.lists(st.tuples(NAMES, st.binary(max_size=300)), min_size=1, max_size=8, unique_by=lambda file: file[0])


@given(FILES)
def test_files_come_back_as_they_went_in_and_every_zip_reader_agrees(files: list[tuple[str, bytes]]) -> None:
    raw = write_archive(files)
    assert read_archive(raw) == files
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        assert [(entry.filename, archive.read(entry)) for entry in archive.infolist()] == files
        assert {
            (entry.date_time, entry.compress_type, entry.external_attr, entry.extra, entry.comment) for entry in archive.infolist()
        } == {((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 0, b"", b"")}


@given(FILES, st.data())
def test_no_other_bytes_are_read(files: list[tuple[str, bytes]], data: st.DataObject) -> None:
    raw = bytearray(write_archive(files))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleError):
        read_archive(bytes(raw))


@given(st.binary(max_size=400))
def test_rubbish_is_refused_in_one_way(rubbish: bytes) -> None:
    for raw in (rubbish, b"PK\x03\x04" + rubbish):
        with pytest.raises(BundleError):
            read_archive(raw)


@pytest.mark.parametrize("name", ["../x", "/x", "X", "tables/../x", "tables/", "a/b", "", "a\\b", "a b", "a" * 93])
def test_a_name_that_no_bundle_has_is_refused(name: str) -> None:
    with pytest.raises(BundleError):
        read_archive(write_archive([(name, b"")]))


def test_a_name_twice_too_many_files_and_too_many_bytes_are_refused() -> None:
    for files in ([("a", b"1"), ("a", b"2")], [(f"a{number}", b"") for number in range(MAX_FILES + 1)]):
        with pytest.raises(BundleError):
            read_archive(write_archive(files))
    with pytest.raises(BundleError, match="larger"):
        read_archive(bytes(MAX_BUNDLE_BYTES + 1))
