"""A check that is killed: its scratch situation goes with the next check, and nobody takes one that a check is using."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from support.running import MRM, Stack

FILES = Path(__file__).parents[1] / "data" / "exchange"


def test_what_a_killed_check_left_goes_with_the_next_and_a_running_one_stays(stack: Stack, tmp_path: Path) -> None:
    with stack.client("verification", "operator") as operator:

        def registered(code: str) -> bool:
            return operator.get(f"/v1/situations/{code}").status_code == 200

        killed, left = begun(stack, FILES / "history_large.json", registered)
        killed.kill()
        killed.communicate(timeout=120)
        assert registered(left)
        recipients = operator.get(f"/v1/situations/{left}").json()["recipients"]
        access = {"tokens": {"operator": stack.token("operator")}, "scratch": left, "recipients": recipients}
        tokens = tmp_path / "tokens.json"
        tokens.write_text(json.dumps(access), "utf-8")
        refused = stack.mrm("check", str(FILES / "example.json"), "--tokens", str(tokens))
        assert (refused.returncode, registered(left), "is there already" in refused.stderr) == (1, True, True), refused.stderr
        running, used = begun(stack, FILES / "history1.json", registered)
        running.send_signal(signal.SIGSTOP)  # so that it is still there while others look
        try:
            assert (left != used, registered(left), registered(used)) == (True, False, True)
            assert stack.json("check", "--tidy") == {"removed": []}
            assert registered(used)
        finally:
            running.send_signal(signal.SIGCONT)
        _, told = running.communicate(timeout=300)
        assert (running.returncode, b"Removed 1 scratch situation that" in told) == (0, True), told
        assert not registered(used)
    assert not list((stack.data / "checks").iterdir())
    assert not list(stack.data.glob("keys/*/*__check-*.key"))
    assert stack.mrm("check").returncode == stack.mrm("check", "--tidy", str(FILES / "example.json")).returncode == 2


def begun(stack: Stack, file: Path, registered: Callable[[str], bool]) -> tuple[subprocess.Popen[bytes], str]:
    """Start a check and wait until its scratch situation is registered; returns its code."""
    known = {path.name for path in stack.data.glob("checks/*")}
    checking = subprocess.Popen([str(MRM), "check", str(file), "--data", str(stack.data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while checking.poll() is None:
        for path in stack.data.glob("checks/check-*"):
            if path.name not in known and registered(path.name):
                return checking, path.name
        time.sleep(0.05)
    raise AssertionError(checking.communicate())
