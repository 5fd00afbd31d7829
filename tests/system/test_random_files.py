"""Whole random exchange files through the running system: every answer of every table, now and as of every step, to the last unit.

`MRM_TEST_SEED=… pytest …` brings a run back; `MRM_RANDOM_FILES=200` looks longer (`make histories`).
"""

import json
import os
import random
from pathlib import Path

from support.random_files import random_file, seed_of_this_run
from support.running import Stack

FILES = int(os.environ.get("MRM_RANDOM_FILES", "3"))
AT_ONCE = 25
"""Files for one `mrm check`."""


def test_random_files_are_answered_exactly(stack: Stack, tmp_path: Path) -> None:
    seed = seed_of_this_run()
    print(f"{FILES} random files, {40 * FILES} questions; MRM_TEST_SEED={seed} MRM_RANDOM_FILES={FILES} repeats them")
    paths = []
    for number in range(FILES):
        path = tmp_path / f"random-{seed}-{number}.json"
        path.write_text(json.dumps(random_file(seed + number)), "utf-8")
        paths.append(str(path))
    for first in range(0, FILES, AT_ONCE):
        batch = paths[first : first + AT_ONCE]
        done = stack.mrm("check", *batch, "--json", timeout=1800)
        assert done.returncode in (0, 1), done.stderr[-4000:]
        told = json.loads(done.stdout.strip().splitlines()[-1])
        assert told["differences"][:1] == []
        assert (told["files"], told["queries"], done.returncode) == (len(batch), 40 * len(batch), 0)


def test_a_random_file_with_one_planted_answer_is_found_out(stack: Stack, tmp_path: Path) -> None:
    seed = seed_of_this_run()
    print(f"MRM_TEST_SEED={seed} repeats it")
    document = random_file(seed, incidents=6, decisions=12, links=4, queries=8)
    number = random.Random(seed).choice([number for number, query in enumerate(document["queries"]) if query["table"] != "exceptions"])
    asked = document["queries"][number]
    asked["expected"] = {"right": asked["expected"]}
    path = tmp_path / "planted.json"
    path.write_text(json.dumps(document), "utf-8")
    [difference] = stack.json("check", str(path), expect=1)["differences"]
    assert difference["query"]["number"] == number + 1
    assert {"right": difference["answered"]} == difference["expected"] == asked["expected"]
