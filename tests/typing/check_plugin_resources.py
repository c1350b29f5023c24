"""A plugin's resource has its own types on the client. Checkers read this file; nobody runs it."""

from typing import assert_type

from replicate_kit import Client, Page
from replicate_kit_example import Board, Boards, Pin


def resource_of_a_plugin_is_typed(client: Client) -> None:
    boards = client.resource(Boards)
    assert_type(boards, Boards)
    assert_type(boards.list(), Page[Board])
    assert_type(boards.add("ideas", Pin("surf")), Board)
    assert_type(boards.list()[0].notes, list[str])


async def its_async_forms_are_typed(client: Client) -> None:
    assert_type(await client.resource(Boards).async_list(), Page[Board])


def what_is_no_resource_is_an_error(client: Client) -> None:
    client.resource(Pin)  # type: ignore[type-var]
    client.resource(Boards).add("ideas", "surf")  # type: ignore[arg-type]
