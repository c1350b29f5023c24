"""What somebody else's plugin looks like: a workshop that keeps boards, and runs models on its own bench.

`replicate_kit` finds `plugin` by its entry point. People who want types import the resource from here:
`client.resource(Pinboards)`.
"""

from replicate_kit_example.pinboards import Pin, Pinboard, Pinboards

__all__ = ["Pin", "Pinboard", "Pinboards"]
