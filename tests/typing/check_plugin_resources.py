"""A plugin's resource has its own types on the client. Checkers read this file; nobody runs it."""

from typing import assert_type

from replicate_kit import Client, Page
from replicate_kit_example import Pin, Pinboard, Pinboards


def resource_of_a_plugin_is_typed(client: Client) -> None:
    boards = client.resource(Pinboards)
    assert_type(boards, Pinboards)
    assert_type(boards.list(), Page[Pinboard])
    assert_type(boards.add("ideas", Pin("surf")), Pinboard)
    assert_type(boards.list()[0].notes, list[str])


async def its_async_forms_are_typed(client: Client) -> None:
    assert_type(await client.resource(Pinboards).async_list(), Page[Pinboard])


def what_is_no_resource_is_an_error(client: Client) -> None:
    client.resource(Pin)  # type: ignore[type-var]
    client.resource(Pinboards).add("ideas", "surf")  # type: ignore[arg-type]
