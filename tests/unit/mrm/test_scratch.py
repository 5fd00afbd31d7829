"""Marks of scratch situations: held by a living check, found when it has died, never taken from one that lives."""

import subprocess
import sys
from pathlib import Path

from local_stack.layout import StackFolder
from mrm.scratch import ScratchMarks

HOLDER = """
import sys, time
from local_stack.layout import StackFolder
from mrm.scratch import ScratchMarks
from pathlib import Path
with ScratchMarks.of(StackFolder.at(Path(sys.argv[1]))).held("check-other"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_mark_is_held_as_long_as_its_process_lives(tmp_path: Path) -> None:
    marks = ScratchMarks.of(StackFolder.at(tmp_path))
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with marks.left() as codes:
            assert codes == []
        holder.kill()
        holder.wait(60)
        with marks.left() as codes:
            assert codes == ["check-other"]
    with marks.left() as codes:
        assert codes == ["check-other"], "who looked and removed nothing has not dropped it"


def test_a_mark_is_there_until_it_is_forgotten(tmp_path: Path) -> None:
    marks = ScratchMarks.of(StackFolder.at(tmp_path))
    with marks.held("check-1"), marks.held("check-2"):
        assert sorted(path.name for path in marks.folder.iterdir()) == ["check-1", "check-2"]
        marks.forget("check-1")
    with marks.left() as codes:
        assert codes == ["check-2"]
        with marks.left() as others:
            assert others == [], "somebody is just removing it"
        marks.forget("check-2")
        marks.forget("check-2")
    assert list(marks.folder.iterdir()) == []
    assert (marks.folder.stat().st_mode & 0o777) == 0o700


def test_a_mark_that_was_never_named_is_nobody_s(tmp_path: Path) -> None:
    marks = ScratchMarks.of(StackFolder.at(tmp_path))
    (marks.folder / ".new-check-1").touch()
    with marks.left() as codes:
        assert codes == []
