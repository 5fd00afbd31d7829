"""The whole main job on the running system: published figures in, the same figures out, signed and verified offline."""

import json
import zipfile
from pathlib import Path

import pytest

from support.running import Stack, run_mrm

SITUATIONS = Path(__file__).parents[1] / "data" / "situations.json"


def test_afghanistan_2024_comes_out_exactly(stack: Stack) -> None:
    done = stack.json("demo")
    figures = done["figures"]
    assert done["differences"] == 0
    assert all(figure["published"] == figure["counted"] for figure in figures.values())
    published = {name: figure["published"] for name, figure in figures.items()}
    assert published["total"] == 1647
    assert published["children"] == 559
    assert published["late_extra"] == 244
    assert published["KM.by.Unidentified perpetrators"] == 454
    assert published["military_use.schools"] == 31
    assert published["RU.n"] + published["KM.n"] + published["SV.n"] + published["ABD.n"] == 562
    verified = stack.json("verify", done["bundle"])
    assert verified["valid"] is True
    status = stack.json("status")
    assert status["account"]["balanced"] is True
    assert status["account"]["parked"] == 0
    assert status["memory_bytes"] < 2 * 1024**3


def test_a_second_run_makes_a_second_situation(stack: Stack) -> None:
    first = stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2020-08")
    second = stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2020-08")
    assert first["situation"] != second["situation"]
    assert first["figures"] == second["figures"]
    assert first["bundle"] != second["bundle"]


@pytest.mark.parametrize("situation", ["COD-2021-10", "COD-2021-12", "COD-2022-02"])
def test_every_published_situation_comes_out_exactly(stack: Stack, situation: str) -> None:
    done = stack.json("demo", "--situation", str(SITUATIONS), "--id", situation)
    assert done["differences"] == 0
    assert done["figures"]


def test_figures_that_contradict_each_other_are_named_before_anything_is_sent(stack: Stack, tmp_path: Path) -> None:
    document = json.loads(SITUATIONS.read_text("utf-8"))
    entry = next(entry for entry in document["situations"] if entry["id"] == "AFG-2024")
    entry["KM"]["killed"] = entry["KM"]["n"] + 1
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(document))
    before = stack.json("situation", "list")
    done = stack.mrm("demo", "--situation", str(file), "--id", "AFG-2024")
    assert done.returncode == 1
    assert "KM.killed" in done.stdout + done.stderr
    assert stack.json("situation", "list") == before


def test_any_altered_byte_of_the_bundle_is_refused(stack: Stack, tmp_path: Path) -> None:
    bundle = Path(stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2021-10")["bundle"])
    content = bundle.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 25)):
        altered = bytearray(content)
        altered[position] ^= 1
        (tmp_path / "altered.zip").write_bytes(altered)
        answer = stack.json("verify", str(tmp_path / "altered.zip"), expect=1)
        assert answer["valid"] is False
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None


def test_verify_needs_no_running_system(stack: Stack, tmp_path: Path) -> None:
    bundle = Path(stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2020-08")["bundle"])
    trust = next(stack.data.rglob("trust.json"))
    done = run_mrm("verify", str(bundle), "--trust", str(trust), "--json", "--data", str(tmp_path / "elsewhere"))
    assert done.returncode == 0, done.stderr


def test_a_rebuild_from_the_ledger_agrees_with_the_live_figures(stack: Stack) -> None:
    situation = stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2021-12")["situation"]
    done = stack.json("rebuild", "--situation", situation)
    assert done["differences"] == 0
    assert [(entry["situation"], entry["state"], entry["difference"]) for entry in done["situations"]] == [(situation, "swapped", None)]
    assert done["situations"][0]["replayed"] == done["situations"][0]["target"] > 0
