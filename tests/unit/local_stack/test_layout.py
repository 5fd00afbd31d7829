"""What a stack remembers between starts: its ports and its processes."""

import os
import socket
from pathlib import Path

from local_stack.children import ProcessMark
from local_stack.layout import PORT_NAMES, StackFolder


def test_ports_stay_the_same_from_start_to_start(tmp_path: Path) -> None:
    folder = StackFolder.at(tmp_path)
    ports = folder.ports()
    assert set(ports) == set(PORT_NAMES)
    assert folder.ports() == ports


def test_a_port_that_somebody_took_is_replaced_alone(tmp_path: Path) -> None:
    folder = StackFolder.at(tmp_path)
    ports = folder.ports()
    with socket.create_server(("127.0.0.1", ports["kafka"])):
        again = folder.ports()
    assert again["kafka"] != ports["kafka"]
    assert {**again, "kafka": 0} == {**ports, "kafka": 0}


def test_two_folders_do_not_share_ports(tmp_path: Path) -> None:
    one = StackFolder.at(tmp_path / "one").ports()
    two = StackFolder.at(tmp_path / "two").ports()
    assert not set(one.values()) & set(two.values())


def test_a_relative_folder_is_made_absolute() -> None:
    assert StackFolder.at(Path("var")).data == Path.cwd() / "var"
    assert StackFolder.at(Path("./a/../var")).data == Path.cwd() / "var"


def test_marks_are_read_back(tmp_path: Path) -> None:
    folder = StackFolder.at(tmp_path)
    assert folder.read_marks() == {}
    marks = {"kafka": ProcessMark.of("kafka", os.getpid())}
    folder.write_marks(marks)
    assert folder.read_marks() == marks
    assert folder.processes.stat().st_mode & 0o077 == 0
