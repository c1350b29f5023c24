"""Gives a prompt's words back, in capitals and one by one; by its mode it does other things."""

import asyncio
import os

import cog
from cog import AsyncConcatenateIterator, BasePredictor, Input

streaming = getattr(cog, "streaming", lambda function: function)  # Cog 0.16 has no streams


class Predictor(BasePredictor):
    @streaming
    async def predict(
        self,
        prompt: str = Input(default="sea"),
        mode: str = Input(default="say", choices=["say", "fail", "slow", "crash"]),
        seconds: float = Input(default=0.0, ge=0.0),
    ) -> AsyncConcatenateIterator[str]:
        print("mode", mode, flush=True)
        await asyncio.sleep(3600 if mode == "slow" else seconds)
        if mode == "fail":
            raise ValueError("no such prompt")
        if mode == "crash":
            await asyncio.sleep(0.2)  # what it printed is on its way
            os._exit(3)
        for word in prompt.split():
            yield word.upper() + " "
