"""What intake costs per incident against the floor, and how fast the pipeline runs. Ratios of one run on one machine; never a test.

make bench            # or: python tests/benchmarks/bench_intake.py [INCIDENTS]
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

HERE = Path(__file__).parent
MRM = Path(sys.executable).with_name("mrm")
TOPIC = "bench.floor"
CONCURRENCY = 32


def mrm(*arguments: str) -> dict[str, Any]:
    """Run `mrm ... --json` and return its object."""
    done = subprocess.run([str(MRM), *arguments, "--json"], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def report(situation: str) -> dict[str, Any]:
    """A plausible report of about 2 kB."""
    return {
        "situation": situation,
        "key": str(uuid.uuid4()),
        "occurred_from": "2020-08-15",
        "narrative": "A plausible synthetic account of what happened. " * 20,
        "violations": [{"key": "k1", "type": "killing", "boys": 1, "details": {"weapon_type": ["landmine"]}}],
        "victims": [{"key": "c1", "sex": "male", "age": 9, "violations": ["k1"]}],
        "perpetrators": [{"attribution": "unidentified", "violations": ["k1"]}],
        "sources": [
            {"category": "primary_witness", "type": "oral_testimony", "violations": ["k1"], "reliability": "high", "credibility": "high"}
        ],
    }


async def load(url: str, situation: str, incidents: int, token: Callable[[], str]) -> float:
    """Post so many reports; returns seconds."""
    bodies = [report(situation) for _ in range(incidents)]
    waiting = asyncio.Queue[dict[str, Any]]()
    for body in bodies:
        waiting.put_nowait(body)
    headers = {"Authorization": f"Bearer {token()}"}

    async def work(client: httpx.AsyncClient) -> None:
        while not waiting.empty():
            body = waiting.get_nowait()
            answer = await client.post("/v1/incidents", json=body, headers=headers)
            if answer.status_code != 202:
                raise SystemExit(f"unexpected answer {answer.status_code}: {answer.text}")

    limits = httpx.Limits(max_connections=CONCURRENCY)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        started = time.perf_counter()
        await asyncio.gather(*(work(client) for _ in range(CONCURRENCY)))
        return time.perf_counter() - started


def cpu(pid: int) -> float:
    """CPU seconds of a process and its children."""
    process = psutil.Process(pid)
    return sum(sum(part.cpu_times()[:2]) for part in (process, *process.children(recursive=True)))


async def spent(pids: dict[str, int], run: Callable[[], Awaitable[float]]) -> tuple[float, dict[str, float]]:
    """Run something; return its seconds and the CPU seconds of each process meanwhile."""
    before = {name: cpu(pid) for name, pid in pids.items()}
    seconds = await run()
    return seconds, {name: cpu(pid) - before[name] for name, pid in pids.items()}


async def add_topic(bootstrap: str, password: str) -> None:
    """Make the floor's topic."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="admin",
        sasl_plain_password=password,
    )
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 24, 1)])
    await admin.close()


async def measure(data: Path, incidents: int) -> None:
    """Start a stack, measure, print."""
    urls = mrm("up", "--detach", "--data", str(data))
    demo = mrm("demo", "--data", str(data))
    print("AFG-2024 through the whole system, seconds per stage:")
    for stage, seconds in demo["seconds"].items():
        print(f"  {stage:28} {seconds:7.1f}")
    situation = demo["situation"]
    status = mrm("status", "--data", str(data))
    pids = {name: part["pid"] for name, part in (status["services"] | status["servers"]).items() if name != "supervisor"}
    secret = data / "secrets" / "kafka-admin"
    await add_topic(urls["kafka"], secret.read_text("utf-8").strip())
    port = free_port()
    floor = subprocess.Popen([sys.executable, str(HERE / "floor.py"), str(port), urls["kafka"], str(secret), TOPIC])
    try:
        await until_up(f"http://127.0.0.1:{port}")
        rounds = [
            await one_round(urls["intake"], f"http://127.0.0.1:{port}", situation, incidents, data, pids, floor.pid) for _ in range(4)
        ]
    finally:
        floor.terminate()
        floor.wait()
    ratios = sorted(ours / bare for ours, bare in rounds[1:])
    print(
        f"intake's CPU per incident against the floor: {ratios[0]:.2f} / {ratios[1]:.2f} / {ratios[2]:.2f} x (min, median, max of 3 rounds)"
    )


async def one_round(
    intake: str, bare: str, situation: str, incidents: int, data: Path, pids: dict[str, int], floor: int
) -> tuple[float, float]:
    """Run the floor and intake once each; return CPU seconds per incident of both."""

    def token() -> str:
        done = subprocess.run([str(MRM), "token", "monitor", "--data", str(data)], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    seconds, used = await spent({"floor": floor}, lambda: load(bare, situation, incidents, token))
    bare_cost = used["floor"] / incidents
    print(f"floor:  {bare_cost * 1e3:.2f} ms CPU per incident, {incidents / seconds:.0f} incidents/s")
    seconds, used = await spent(pids, lambda: load(intake, situation, incidents, token))
    print(f"intake: {used['intake'] / incidents * 1e3:.2f} ms CPU per incident, {incidents / seconds:.0f} incidents/s accepted; CPU in ms:")
    print("        " + ", ".join(f"{name} {value / incidents * 1e3:.2f}" for name, value in used.items()))
    started = time.perf_counter()
    while mrm("status", "--data", str(data))["account"]["in_flight"]:
        await asyncio.sleep(0.5)
    print(f"        the pipeline was empty {time.perf_counter() - started:.1f} s later")
    return used["intake"] / incidents, bare_cost


def free_port() -> int:
    """Return a free loopback port."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_up(url: str) -> None:
    """Wait until a server answers anything."""
    async with httpx.AsyncClient() as client:
        for _ in range(200):
            try:
                await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return
    raise SystemExit("the floor did not come up")


def main() -> None:
    """Measure with a stack of its own."""
    incidents = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    data = Path(tempfile.mkdtemp(prefix="mrm-bench-", dir="/tmp"))
    try:
        asyncio.run(measure(data, incidents))
    finally:
        subprocess.run([str(MRM), "down", "--data", str(data)], check=False, capture_output=True)
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
