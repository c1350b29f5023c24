"""References: what names a model, a version or a deployment, and what does not."""

from __future__ import annotations

import string

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate_kit._formats.references import Reference, escape
from replicate_kit.errors import InvalidReference

NAMES = st.text(string.ascii_lowercase + string.digits + "-_.", min_size=1, max_size=12).filter(
    lambda name: name.strip(".") and name != "deployments"
)
VERSIONS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(NAMES, NAMES, st.none() | VERSIONS)
def test_a_model_reads_as_it_is_written(owner: str, name: str, version: str | None) -> None:
    reference = Reference(owner, name, version)
    assert Reference.parse(str(reference)) == reference
    assert reference.model == f"{owner}/{name}"


@given(NAMES, NAMES)
def test_a_deployment_reads_as_it_is_written(owner: str, name: str) -> None:
    reference = Reference(owner, name, deployment=True)
    assert Reference.parse(str(reference)) == reference
    assert reference.model is None
    assert reference.path == f"deployments/{escape(owner)}/{escape(name)}"


@pytest.mark.parametrize(
    "text",
    [
        "..",
        "../..",
        "./a",
        "a/.",
        "a/..:1",
        "deployments/a",
        "deployments/./a",
        "deployments/a/..",
        "a/b\0",
        "a/b\x7f",
    ],
)
def test_steps_of_a_path_and_control_characters_are_no_names(text: str) -> None:
    with pytest.raises(InvalidReference):
        Reference.parse(text)


@given(VERSIONS)
def test_a_version_id_stands_for_itself(version: str) -> None:
    reference = Reference.parse(version)
    assert str(reference) == reference.version == version
    assert reference.model is None


@given(st.text())
def test_any_text_is_a_reference_or_a_clear_refusal(text: str) -> None:
    refusals: list[str] = []
    try:
        reference = Reference.parse(text)
        assert Reference.parse(str(reference)) == reference
    except InvalidReference as error:
        refusals.append(str(error))
    assert all("Use 'owner/name'" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    "url",
    [
        "https://replicate.com/acme/shout",
        "http://www.replicate.com/acme/shout/",
        "https://replicate.com/acme/shout?prediction=abc",
        "https://replicate.com/acme/shout#readme",
        "  acme/shout\n",
    ],
)
def test_the_address_of_a_model_page_names_the_model(url: str) -> None:
    assert Reference.parse(url) == Reference("acme", "shout")


@pytest.mark.parametrize(
    "text", ["", "shout", "acme/", "/shout", "a/b/c", "a/b:", "deployments/a/b:v", "a b/c", "f" * 63]
)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference, match="does not name a model"):
        Reference.parse(text)


def test_a_version_alone_has_no_path() -> None:
    with pytest.raises(InvalidReference, match="Use 'owner/name:"):
        _ = Reference(version="f" * 64).path


def test_an_empty_reference_is_empty_text() -> None:
    assert str(Reference()) == ""


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_an_escaped_id_stays_one_segment_of_its_path(text: str) -> None:
    url = httpx.URL("https://api.test/v1/").join(f"predictions/{escape(text)}")
    before, _, segment = url.raw_path.decode().rpartition("/")
    assert before == "/v1/predictions"
    assert segment
    assert url.host == "api.test"
    assert not url.query


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(InvalidReference, match="An id or name is empty"):
        escape("")
