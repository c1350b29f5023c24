"""Recordings of what the API answered."""

from __future__ import annotations

import json

import httpx
import pytest

from replicate_kit import Client
from replicate_kit.testing import Cassette, CassetteError


def never(request):
    raise AssertionError(f"{request.method} {request.url} was sent")


def offline(cassette, **options):
    """A client whose every request that passes the cassette is a failure."""
    return Client("r8_other", plugins=[cassette], transport=httpx.MockTransport(never), retries=0, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "wombat.json"


def record(path, operation, **options):
    with Cassette(path, **options) as cassette:
        return operation(Client("r8_secret", backend="mock", plugins=[cassette]))


def replay(path, operation, **options):
    with Cassette(path, mode="replay", **options) as cassette:
        client = offline(cassette, base_url="https://api.replicate.test/v1")
        return operation(client)


def test_what_was_recorded_is_answered_again_without_sending_anything(path):
    def paint(client):
        return [bytes(file.read()) for file in client.run("demo/painter", {"prompt": "a wombat"})]

    painted = record(path, paint)
    assert painted[0].startswith(b"\x89PNG")
    assert replay(path, paint) == painted
    assert "r8_secret" not in path.read_text()


def test_a_stream_is_recorded_and_replayed_event_by_event(path):
    def recite(client):
        return [str(event) for event in client.stream("demo/poet", {"prompt": "sea"})]

    words = record(path, recite)
    assert len(words) > 3
    assert replay(path, recite) == words


def test_an_answer_is_found_whatever_the_order_of_the_keys(path):
    first, second = {"prompt": "sea", "seed": 1}, {"seed": 1, "prompt": "sea"}
    created = record(path, lambda client: client.predictions.create(model="demo/painter", input=first))
    assert (
        replay(path, lambda client: client.predictions.create(model="demo/painter", input=second)).id
        == created.id
    )


def test_a_request_that_was_not_recorded_is_an_error_that_names_it(path):
    record(path, lambda client: client.accounts.current())
    with pytest.raises(CassetteError, match=r"no answer for GET /v1/hardware.*mode='record'"):
        replay(path, lambda client: client.hardware.list())


def test_a_strict_cassette_wants_the_same_order(path):
    record(path, lambda client: (client.accounts.current(), client.hardware.list()))
    with pytest.raises(CassetteError, match="it expects GET /v1/account now"):
        replay(path, lambda client: client.hardware.list(), strict=True)


def test_a_strict_cassette_wants_to_be_used_up(path):
    record(path, lambda client: (client.accounts.current(), client.hardware.list()))
    with pytest.raises(CassetteError, match="not asked for: GET /v1/hardware"):
        replay(path, lambda client: client.accounts.current(), strict=True)


def test_a_lenient_cassette_gives_the_last_answer_again(path):
    record(path, lambda client: client.accounts.current())
    assert (
        replay(path, lambda client: [client.accounts.current().username for _ in range(3)]) == ["local"] * 3
    )


def test_webhook_secrets_are_not_recorded(path):
    secret = record(path, lambda client: client.webhooks.default.secret().key)
    assert secret not in path.read_text()
    assert replay(path, lambda client: client.webhooks.default.secret().key).startswith("whsec_")


def test_a_large_body_lies_beside_the_file_and_an_upload_is_known_again(path):
    content = b"\0wombat" * 40_000
    uploaded = record(path, lambda client: client.files.create(content, filename="wombats.bin"))
    assert path.stat().st_size < 10_000
    assert replay(path, lambda client: client.files.create(content, filename="wombats.bin")) == uploaded


def test_bodies_can_be_read_by_people(path):
    record(path, lambda client: client.accounts.current())
    (exchange,) = json.loads(path.read_text())["exchanges"]
    assert exchange["answer"]["body"]["json"]["username"] == "local"


def test_a_cassette_is_recorded_only_where_there_is_none(path):
    record(path, lambda client: client.accounts.current())
    before = path.read_bytes()
    with Cassette(path) as cassette:
        assert (
            offline(cassette, base_url="https://api.replicate.test/v1").accounts.current().username == "local"
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["", "{}", '{"format": 1}', '{"format": 99, "exchanges": []}', "[]"])
def test_a_file_that_is_no_cassette_says_so(path, content):
    path.write_text(content)
    with pytest.raises(CassetteError, match="Record it again"):
        Cassette(path)


def test_to_replay_what_was_never_recorded_says_how_to(path):
    with pytest.raises(CassetteError, match="Record it with"):
        Cassette(path, mode="replay")
