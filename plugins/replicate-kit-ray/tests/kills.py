"""Kills workers of Ray's in the middle of a dataset: `kills.py [MOMENTS] [ROWS] [SEED]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray.data

from replicate_kit_ray import run

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.partitions.kills import Seen, asked, descendants, search

__all__ = ["kill"]


def kill(moments: int, rows: int, seed: int = 1) -> Seen:
    """Kill workers of the cluster of this process."""
    return search("Ray", _outputs, lambda: list(descendants("ray::MapWorker")), moments, rows, seed)


def _outputs(model: str, prompts: Sequence[str], options: dict[str, Any]) -> list[Any]:
    table = ray.data.from_items([{"number": n, "prompt": each} for n, each in enumerate(prompts)])
    found = run(table, model, batch_size=100, **options).take_all()
    return [each["output"] for each in sorted(found, key=lambda each: each["number"])]


def main() -> int:
    """Kill workers of a cluster of its own."""
    from clusters import start

    start()
    return kill(*asked()).wrong


if __name__ == "__main__":
    sys.exit(bool(main()))
