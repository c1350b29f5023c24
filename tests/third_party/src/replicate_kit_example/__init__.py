"""What somebody else's plugin looks like: a workshop that keeps boards, and runs models on its own bench.

`replicate_kit` finds `plugin` by its entry point. People who want types import the resource from here:
`client.resource(Boards)`.
"""

from replicate_kit_example.boards import Board, Boards, Pin

__all__ = ["Board", "Boards", "Pin"]
