"""The errors of answers: a kind and a next step for each status, and whatever a body explains."""

from __future__ import annotations

from typing import Any

import pytest

from replicate_kit import errors
from replicate_kit._http.problems import api_error
from replicate_kit.transport import Request


@pytest.mark.parametrize(
    ("status", "kind", "step"),
    [
        (401, errors.AuthenticationError, "Check the API token"),
        (402, errors.InsufficientCredit, "Add credit at https://replicate.com/account/billing"),
        (403, errors.PermissionDenied, "may use this model"),
        (404, errors.NotFound, "Check the spelling"),
        (405, errors.APIError, "A gateway may not pass them on"),
        (413, errors.APIError, ""),
        (422, errors.ValidationError, "Correct the input"),
        (429, errors.RateLimited, "client.map keeps to the account's limits"),
        (500, errors.ServerError, ""),
        (501, errors.ServerError, "A gateway may not pass them on"),
        (599, errors.ServerError, ""),
    ],
)
def test_each_status_has_its_error_and_next_step(status: int, kind: type[errors.APIError], step: str) -> None:
    error = api_error(
        status=status, body={"detail": "why", "title": "What"}, headers={"a": "b"}, where="GET x"
    )
    assert type(error) is kind
    assert (error.status, error.title, error.detail, error.headers) == (status, "What", "why", {"a": "b"})
    assert str(error).startswith(f"GET x: {status} why")
    assert step in str(error)


@pytest.mark.parametrize("status", [402, 422])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE", "QUERY"])
def test_only_of_a_post_is_it_said_that_nothing_was_created(status: int, method: str) -> None:
    request = Request(method, "https://api.test/v1/models")
    said = str(api_error(status=status, body={"detail": "why"}, headers={}, where="x", request=request))
    assert ("nothing was created" in said) == (method == "POST")
    assert ("nothing was changed" in said) == (method != "POST")
    assert "{" not in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"title": "Only a title"}, "Only a title"),
        ({"detail": ""}, "{'detail': ''}"),
        ("<html>\n  <body>Bad gateway</body>", "Bad gateway"),
        ("<!DOCTYPE HTML>\n<head><TITLE>502 Bad\nGateway</TITLE></head><h1>no</h1>", "502 Bad Gateway"),
        ("<html><style>h1 {}</style><script>1</script>R&amp;D <b>is</b> away", "R&D is away"),
        ("<html><h1 class='a'>Bad <i>gateway</i></h1></html>", "Bad gateway"),
        ("<html></html>", "no explanation"),
        ("<html><title></title><h1>Bad gateway</h1>", "Bad gateway"),
        ("<html><title>Bad gateway", "Bad gateway"),
        ("<html>Bad gateway<script>var a = 1", "Bad gateway"),
        ("<html>Bad <gateway <b>is</b> away", "Bad <gateway is away"),
        ("<Error><Code>AccessDenied</Code></Error>", "<Error><Code>AccessDenied</Code></Error>"),
        ("\0" * 300, "with a body that is no text"),
        ("\x1b[31mred", "with a body that is no text"),
        (b"\x1f\x8b\xff".decode("utf-8", "replace"), "with a body that is no text"),
        ([1, 2], "[1, 2]"),
        (None, "no explanation"),
        ("", "no explanation"),
        ("x" * 999, "x" * 200),
    ],
)
def test_any_body_explains_itself_as_well_as_it_can(body: Any, said: str) -> None:
    assert str(api_error(status=500, body=body, headers={}, where="GET x")) == f"GET x: 500 {said}"


def test_invalid_fields_are_listed_where_the_api_lists_them() -> None:
    fields = [{"type": "required", "field": "input", "description": "prompt is required"}]
    for body, expected in (
        ({"invalid_fields": fields}, fields),
        ({"invalid_fields": None}, ()),
        ("text", ()),
    ):
        error = api_error(status=422, body=body, headers={}, where="POST x")
        assert isinstance(error, errors.ValidationError)
        assert error.invalid_fields == expected
