"""Programs that drive greenlets or event loops in ways of their own, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SERVED = """
import http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        body = b'{"id": "p1", "status": "succeeded"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
"""

ROWS = """
from replicate_kit import Client
from replicate_kit.simulator import Simulator, sleep
simulator = Simulator()
@simulator.model("acme/double", workers=64)
def double(n: int) -> int:
    sleep(0.05)
    return 2 * n
@simulator.model("acme/endless", workers=64)
def endless(n: int) -> int:
    sleep(60)
    return n
client = Client(backend=simulator, poll_interval=0.02)
def rows(start, count=3):
    return [{"n": n} for n in range(start, start + count)]
def outputs(start):
    return [result.output for result in client.map("acme/double", rows(start))]
"""

PATCHED = "from gevent import monkey; monkey.patch_all()\n"


def python(code: str, folder: Path) -> str:
    """Run a program, which must neither fail nor complain; give what it prints."""
    env = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("patched", [True, False])
def test_greenlets_run_over_rows_at_the_same_time(patched: bool, tmp_path: Path) -> None:
    code = f"""{PATCHED if patched else ""}
import gevent
{ROWS}
greenlets = [gevent.spawn(outputs, 10 * number) for number in range(3)]
greenlets += [gevent.spawn(client.run, "acme/double", {{"n": 50 + number}}) for number in range(2)]
greenlets += [gevent.spawn(lambda: client.plan("acme/double", rows(60)).to_pay)]
poet = Client(backend="mock")
greenlets += [gevent.spawn(lambda: any(map(str, poet.stream("demo/poet", {{"prompt": "sea"}}))))]
gevent.joinall(greenlets, raise_error=True)
print([each.value for each in greenlets])
"""
    assert python(code, tmp_path) == "[[0, 2, 4], [20, 22, 24], [40, 42, 44], 100, 102, 3, True]\n"


def test_other_greenlets_go_on_while_rows_run(tmp_path: Path) -> None:
    code = f"""{PATCHED}
import gevent
{ROWS}
turns = 0
def turn():
    global turns
    while True:
        gevent.sleep(0.001)
        turns += 1
gevent.spawn(turn)
outputs(0)
print(turns > 20)
"""
    assert python(code, tmp_path) == "True\n"


@pytest.mark.parametrize("how", ["kill", "timeout", "break"])
def test_a_greenlet_that_is_stopped_stops_its_run_in_order(how: str, tmp_path: Path) -> None:
    code = f"""{PATCHED}
import gevent
{ROWS}
def run():
    for result in client.map("acme/endless" if {how!r} != "break" else "acme/double", rows(0, 20), concurrency=2):
        break
if {how!r} == "kill":
    greenlet = gevent.spawn(run)
    while simulator.created < 2: gevent.sleep(0.01)
    greenlet.kill()
elif {how!r} == "timeout":
    with gevent.Timeout(1, False): run()
else:
    run()
created = simulator.created
print(created < 20, simulator.created == created, outputs(100))
"""
    assert python(code, tmp_path) == "True True [200, 202, 204]\n"


def test_a_thread_has_its_hub_before_another_makes_one(tmp_path: Path) -> None:
    code = f"""{PATCHED}
from gevent._hub_local import get_hub_if_exists
from replicate_kit._runtime.runtimes import start_thread
before = get_hub_if_exists()
start_thread(lambda: None, "other")
print(before is None, get_hub_if_exists() is not None)
"""
    assert python(code, tmp_path) == "True True\n"


def test_futures_of_greenlets_have_locks_of_the_system(tmp_path: Path) -> None:
    code = f"""{PATCHED}
import threading
from replicate_kit._runtime.runtimes import new_future, start_thread
futures = [new_future() for _ in range(2000)]
start_thread(lambda: [each.set_result(None) for each in futures], "other")
for each in futures: each.result(60)
print(type(futures[0]._condition._lock).__module__)
"""
    assert python(code, tmp_path) == "_thread\n"


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("patched", [True, False])
def test_ctrl_c_stops_a_run_of_the_main_greenlet(patched: bool, tmp_path: Path) -> None:
    code = f"""{PATCHED if patched else ""}
import gevent
{ROWS}
try:
    tell = lambda _: simulator.created == 2 and print("on", flush=True)
    list(client.map("acme/endless", rows(0, 20), concurrency=2, progress=tell))
except KeyboardInterrupt as error:
    print("stopped", simulator.calls["predictions.cancel"], *error.__notes__)
"""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "on\n"
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=60)
        finally:
            process.kill()  # or its end would be waited for
    assert "stopped 2 The run was stopped with 0 of 20 rows done" in said, complained


NESTED = {
    "asyncio.run, patched before": "nest_asyncio.apply()\nasyncio.run(main())",
    "twice": "nest_asyncio.apply()\nasyncio.run(main())\nasyncio.run(main())",
    "run_until_complete": "nest_asyncio.apply()\nasyncio.get_event_loop().run_until_complete(main())",
    "nested in another": """
async def cell():
    nest_asyncio.apply()
    asyncio.run(main())
    asyncio.get_event_loop().run_until_complete(main())
asyncio.run(cell())""",
    "a kernel's loop": """
async def cell():
    nest_asyncio.apply()
    client.predictions.get("p1")
    asyncio.run(main())
    loop.stop()
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.create_task(cell())
loop.run_forever()""",
}


@pytest.mark.parametrize("then", ["", "del client; gc.collect()", "client.close()"])
@pytest.mark.parametrize("how", NESTED)
def test_nested_event_loops_end_without_a_complaint(how: str, then: str, tmp_path: Path) -> None:
    code = f"""
import asyncio, gc, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)  # asyncio.get_event_loop
import nest_asyncio
{SERVED}
from replicate_kit import Client
client = Client(base_url=url)
async def main():
    print((await client.predictions.async_get("p1")).id)
    print([result.status async for result in Client(backend="mock").async_map("demo/poet", [{{"prompt": "a"}}])])
{NESTED[how]}
{then}
"""
    printed = python(code, tmp_path)
    assert printed == "p1\n['succeeded']\n" * printed.count("p1")
    assert "p1" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is none of Windows")
def test_uvloop_drives_everything(tmp_path: Path) -> None:
    code = f"""
import asyncio, uvloop
{SERVED}
{ROWS}
async def main():
    print((await Client(base_url=url).predictions.async_get("p1")).id)
    print(await client.async_run("acme/double", {{"n": 1}}), outputs(10))
    print([result.output async for result in client.async_map("acme/double", rows(0))])
for _ in range(2):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
"""
    assert python(code, tmp_path) == "p1\n2 [20, 22, 24]\n[0, 2, 4]\n" * 2


def test_threads_are_waited_for_where_the_interpreter_has_no_others(tmp_path: Path) -> None:
    code = f"""
import threading
made = threading.Thread.__init__
def init(self, *args, daemon=None, **options):  # as in a subinterpreter
    if daemon and options.get("name", "").startswith("replicate-kit-"):
        raise RuntimeError("daemon threads are disabled in this (sub)interpreter")
    made(self, *args, daemon=daemon, **options)
threading.Thread.__init__ = init
{ROWS}
print(outputs(0))
for result in client.map("acme/double", rows(10, 20), concurrency=2):
    break
"""
    assert python(code, tmp_path) == "[0, 2, 4]\n"


def test_eventlet_is_told_that_one_run_goes_on_at_a_time(tmp_path: Path) -> None:
    code = f"""
import asyncio
{ROWS}
from replicate_kit import errors
from replicate_kit.batch._runs import runner
runner.start_thread = lambda function, name: function()  # on the thread of whoever starts it, as a greenlet is
async def main():
    try:
        client.plan("acme/double", rows(0))
    except errors.ConfigError as error:
        print("Another run goes on" in str(error), simulator.created)
asyncio.run(main())
"""
    assert python(code, tmp_path) == "True 0\n"
