"""Predictions in a queue before several servers: which one takes the next, and what becomes of it where one fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from replicate_kit_cog.asking import Answer, Asker
from replicate_kit_cog.predictions import Prediction, interrupted
from replicate_kit_cog.servers import Server

__all__ = ["Pool", "Waits"]

_LAST_LINES = 10


class Waits(NamedTuple):
    """How long the pool waits for what; all in seconds.

    - `refusal`: a server that is busy says so within this time; who is not refused then has a slot.
    - `look`: how often a server is looked at while it has work, or work waits for it.
    - `patience`: how long predictions wait where no server can be used.
    """

    refusal: float = 0.1
    look: float = 2.0
    patience: float = 60.0


_MOST_ATTEMPTS = 3  # a prediction that takes its server down with it should not take down all of them


class Pool:
    """Servers of one model as one: their slots, a queue, and who looks at those that fail. Of the loop's thread."""

    def __init__(
        self, servers: Sequence[Server], asker: Asker, content: Callable[[Prediction], bytes], waits: Waits
    ) -> None:
        self.servers, self._asker, self._content, self._waits = servers, asker, content, waits
        self._queue: deque[Prediction] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: dict[Prediction, asyncio.Task[Answer]] = {}
        self._watched: dict[Server, asyncio.Task[None]] = {}
        self._doubt: dict[Server, asyncio.Event] = {}
        self._down_since: float | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._queue or self._asking)

    @property
    def fault(self) -> str | None:
        """Why no server takes predictions; None where one does, will soon, or is not known yet."""
        if any(each.fault is None or each.is_starting for each in self.servers):
            return None
        each = "; ".join(f"{server.url}: {server.fault}" for server in self.servers)
        return f"No Cog server takes predictions now. {each}. Run it again when one does."

    async def looked(self) -> None:
        """Look at servers that are not known well enough to send them something."""
        oldest = asyncio.get_running_loop().time() - self._waits.look
        old = [
            each
            for each in self.servers
            if each.looked_at is None or (self.is_idle and each.looked_at < oldest)
        ]
        await asyncio.gather(*map(self._look, self.servers if self.fault else old))

    def add(self, prediction: Prediction) -> None:
        """Have a prediction run as soon as there is a slot."""
        self._queue.append(prediction)
        self._fill()

    def cancel(self, prediction: Prediction) -> None:
        """End a prediction, and have its server end it; its slot is free once that has answered."""
        prediction.finish("canceled")
        with contextlib.suppress(ValueError):
            self._queue.remove(prediction)
        for server in self.servers:
            if prediction in server.taken:
                self._start(self._end(prediction, server))

    async def _end(self, prediction: Prediction, server: Server) -> None:
        """Have a server end a prediction: it knows nothing of one that is on its way, and says nothing of the rest."""
        pause = self._waits.refusal
        while prediction in server.taken:
            await self._asker.cancel(server, prediction.name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._waits.look)

    # Who takes what.

    def _fill(self) -> None:
        """Send what waits to where there is room."""
        loop = asyncio.get_running_loop()
        while self._queue:
            server = max(self.servers, key=lambda each: each.room(loop.time()))
            if not server.room(loop.time()):
                break
            prediction = self._queue.popleft()
            server.take(prediction)
            self._start(self._run(prediction, server))
        if not self.is_idle:
            for server in self.servers:
                if server not in self._watched:
                    self._watched[server] = loop.create_task(self._watch(server))

    def _start(self, operation: Coroutine[Any, Any, None]) -> None:
        """Run something beside; the loop itself holds tasks by weak references only."""
        task = asyncio.get_running_loop().create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, prediction: Prediction, server: Server) -> None:
        """Have a server run a prediction, and see to what comes of it."""
        loop = asyncio.get_running_loop()
        asking = loop.create_task(self._asker.predict(server, prediction, self._content(prediction)))
        self._asking[prediction] = asking
        timer = loop.call_later(self._waits.refusal, self._accepted, prediction, server)
        try:
            answer = await asking
        except asyncio.CancelledError:  # the watcher has found its server gone
            answer = Answer("lost", {"error": "it cannot be reached any more"})
        finally:
            timer.cancel()
            self._asking.pop(prediction, None)
        if answer.kind == "crashed":
            server.crew = max(server.crew, len(server.taken))
        if answer.kind == "refused":
            self._again_later(prediction, server, answer)
        else:
            server.accepted(prediction)
            server.release(prediction)
            if answer.kind != "ended":
                await self._look(server)
            self._settle(prediction, server, answer)
        self._fill()

    def _accepted(self, prediction: Prediction, server: Server) -> None:
        """The server was not busy, and works on it."""
        server.accepted(prediction)
        prediction.start()
        self._fill()

    def _again_later(self, prediction: Prediction, server: Server, answer: Answer) -> None:
        """A server is busy, or starts, or is not there: the next slot is for the one that it did not take."""
        loop = asyncio.get_running_loop()
        if answer.body.get("gone"):
            server.release(prediction)
            server.learn(None, answer.said)
        elif pause := server.refused(prediction, loop.time()):
            loop.call_later(pause, self._fill)
        self._look_soon(server)
        if not prediction.done:
            self._queue.appendleft(prediction)

    def _settle(self, prediction: Prediction, server: Server, answer: Answer) -> None:
        """Bring a prediction to its end, or to another server."""
        if prediction.done:
            return
        body = answer.body
        if answer.kind == "ended":
            prediction.write(_rest(str(body.get("logs") or ""), prediction.logs))
            prediction.size += int(body.get("size") or 0)
            error = (
                str(body.get("error") or "The model gave no reason.") if body["status"] == "failed" else None
            )
            metrics = body.get("metrics") or {}
            prediction.finish(body["status"], output=body.get("output"), error=error, metrics=metrics)
        elif answer.kind == "crashed" and server.fault is None:
            prediction.finish("failed", error=f"{answer.said}. See the log of {server.url}.")
        elif answer.kind == "crashed":
            prediction.write(_rest(str(body.get("logs") or ""), prediction.logs))
            prediction.finish("failed", error=_crash(prediction, server))
        elif prediction.output is not None:
            # Somebody may have read its first chunks, which another attempt would give again.
            why = f"{server.url} was gone in the middle of the output ({answer.said}). Run it again."
            prediction.finish("failed", error=interrupted(why))
        else:
            self._lost(prediction, server, answer)

    def _lost(self, prediction: Prediction, server: Server, answer: Answer) -> None:
        """Its server was gone before it answered. To run it again costs no money."""
        prediction.attempts += 1
        if prediction.attempts < _MOST_ATTEMPTS:
            self._queue.appendleft(prediction)
            return
        prediction.finish(
            "failed",
            error=f"Servers were gone {_MOST_ATTEMPTS} times while they worked at this prediction, {server.url} the "
            f"last time ({answer.said}). It may be what ends them, as what takes all memory does: see their logs.",
        )

    # How the servers are.

    async def _look(self, server: Server) -> None:
        """See how a server is."""
        await self._asker.look(server)
        server.looked_at = asyncio.get_running_loop().time()

    def _look_soon(self, server: Server) -> None:
        """Have it looked at, though it is not its time."""
        if (doubt := self._doubt.get(server)) is not None:
            doubt.set()

    async def _watch(self, server: Server) -> None:
        """Look at a server as long as there is work."""
        loop, misses = asyncio.get_running_loop(), 0
        doubt = self._doubt[server] = asyncio.Event()
        try:
            while not self.is_idle:
                await self._look(server)
                misses = misses + 1 if server.health is None else 0
                if misses >= _MOST_ATTEMPTS:
                    for prediction in list(server.taken):
                        if (asking := self._asking.get(prediction)) is not None:
                            asking.cancel()
                self._give_up(loop.time())
                self._fill()
                # One that refuses without end is not asked without end how it is.
                await asyncio.sleep(min(0.05, self._waits.look))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(doubt.wait(), self._waits.look)
                doubt.clear()
        finally:
            self._watched.pop(server, None)
            self._doubt.pop(server, None)
            if not self.is_idle:
                self._fill()

    def _give_up(self, now: float) -> None:
        """End what waits where no server has been usable for long."""
        fault = self.fault
        if fault is None:
            self._down_since = None
            return
        self._down_since = self._down_since or now
        if now - self._down_since >= self._waits.patience:
            while self._queue:
                self._queue.popleft().finish("failed", error=interrupted(fault))


def _rest(logs: str, known: str) -> str:
    """What of the whole log did not come bit by bit."""
    return logs[len(known) :] if logs.startswith(known) else ""


def _crash(prediction: Prediction, server: Server) -> str:
    """Say that a worker crashed, with what it printed last."""
    others = server.crew - 1
    doubt = f" It was at {others} more at that time, one of which may be the cause." if others > 0 else ""
    last = "\n".join(prediction.logs.strip().splitlines()[-_LAST_LINES:])
    told = f" Its last lines:\n{last}" if last else f" It printed nothing: look at the log of {server.url}."
    return f"The worker of {server.url} crashed while it worked at this prediction.{doubt}{told}"
