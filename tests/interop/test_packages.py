"""Packages that import `replicate` run on the stand-in: nobody changed them, nor told them."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loopback import resolve_here
from models import publish, versions
from serving import Served, served

from replicate_kit.compat import install_as_replicate, uninstall_replicate

# The packages' own warnings are not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

CHAT = "acme/chat"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service"), publish) as service:
        yield service


@pytest.fixture
def replicate(service: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    resolve_here()
    for name, value in {**service.environment, "LLM_USER_PATH": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    stand_in = install_as_replicate()
    yield stand_in
    stand_in.default_client.close()
    uninstall_replicate()
    gc.collect()  # closes the clients that the packages made


@pytest.fixture
def by_version(service: Served) -> str:
    return f"acme/chat-by-version:{versions(service.simulator)['acme/chat-by-version']}"


def test_it_is_the_stand_in_that_they_import(replicate: ModuleType) -> None:
    import replicate as imported

    assert imported is replicate
    assert imported.__name__ == "replicate_kit.compat.replicate"


class TestLlamaIndex:
    @pytest.fixture
    def model(self, replicate: ModuleType) -> Any:
        from llama_index.llms.replicate import Replicate

        return Replicate(model=CHAT, temperature=0.1, context_window=32)

    def test_complete(self, model: Any) -> None:
        assert model.complete("hello").text == "You said: hello STOP and more"

    def test_stream_complete(self, model: Any) -> None:
        deltas = [each.delta for each in model.stream_complete("hello")]
        assert deltas[:3] == ["You ", "said: ", "hello"]

    def test_chat(self, model: Any) -> None:
        from llama_index.core.llms import ChatMessage

        answer = model.chat([ChatMessage(role="user", content="hello")])
        assert answer.message.content.startswith("You said: ")


class TestLangChain:
    @pytest.fixture
    def model(self, replicate: ModuleType, by_version: str) -> Any:
        from langchain_community.llms import Replicate

        return Replicate(model=by_version, model_kwargs={"temperature": 0.1})

    def test_invoke(self, model: Any) -> None:
        assert model.invoke("hello") == "You said: hello STOP and more"

    def test_invoke_of_a_model_by_its_name(self, model: Any) -> None:
        assert type(model)(model=CHAT).invoke("hello") == "You said: hello STOP and more"

    def test_stream(self, model: Any) -> None:
        assert "".join(model.stream("hello")) == "You said: hello STOP and more"

    def test_a_stop_word_cancels_the_prediction(self, model: Any, service: Served) -> None:
        before = service.simulator.calls["predictions.cancel"]
        assert "".join(model.stream("hello", stop=["STOP"])).strip() == "You said: hello"
        assert service.simulator.calls["predictions.cancel"] == before + 1


class TestLLM:
    @pytest.fixture
    def model(self, replicate: ModuleType, by_version: str) -> Any:
        from llm_replicate import ReplicateModel

        name, version = by_version.split(":")
        return ReplicateModel(*name.split("/"), version_id=version, chat=True)

    def test_prompt(self, model: Any) -> None:
        response = model.prompt("hello", key="r8_llm")
        assert list(response)[:2] == ["You ", "said: "]

    def test_conversation(self, model: Any) -> None:
        model.key = "r8_llm"
        conversation = model.conversation()
        assert conversation.prompt("hello").text().startswith("You said: ")
        assert conversation.prompt("again").text().startswith("You said: ")


class TestGenblaze:
    @pytest.fixture
    def provider(self, replicate: ModuleType) -> Iterator[Any]:
        from genblaze_replicate import ReplicateProvider

        provider = ReplicateProvider(api_token="r8_genblaze", poll_interval=0.02)
        yield provider
        provider._get_client().close()

    @pytest.fixture
    def step(self) -> Any:
        from genblaze_core.models.enums import Modality
        from genblaze_core.models.step import Step

        return Step(
            provider="replicate",
            model="demo/painter",
            prompt="a wombat",
            modality=Modality.IMAGE,
            params={"width": 16, "height": 16},
        )

    def test_a_step_makes_a_picture(self, provider: Any, step: Any) -> None:
        done = provider.invoke(step)
        assert [asset.media_type for asset in done.assets] == ["image/png"]
        assert done.provider_payload["replicate"]["status"] == "succeeded"

    def test_it_finds_models(self, provider: Any) -> None:
        assert CHAT in provider.discover_models().slugs
        assert provider.validate_model(CHAT).outcome.name == "OK_AUTHORITATIVE"

    def test_a_model_that_is_not_there(self, provider: Any) -> None:
        assert provider.validate_model("nobody/nothing").outcome.name != "OK_AUTHORITATIVE"

    def test_a_step_of_a_model_that_fails(self, provider: Any, step: Any) -> None:
        failing = step.model_copy(update={"model": "stability-ai/stable-diffusion-3", "params": {}})
        done = provider.invoke(failing)
        assert (done.status.value, done.error) == ("failed", "cannot draw a wombat")


class TestOpenTelemetry:
    @pytest.fixture
    def spans(self, replicate: ModuleType) -> Iterator[Any]:
        from opentelemetry.instrumentation.replicate import ReplicateInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        instrumentor = ReplicateInstrumentor()
        instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
        yield exporter.get_finished_spans
        instrumentor.uninstrument()

    def test_run(self, replicate: ModuleType, spans: Any) -> None:
        replicate.run(CHAT, input={"prompt": "hello", "temperature": 0.5})
        (span,) = spans()
        assert (span.name, span.attributes["gen_ai.request.model"]) == ("replicate.run", CHAT)
        assert span.attributes["gen_ai.request.temperature"] == 0.5

    def test_run_piece_by_piece(self, replicate: ModuleType, spans: Any, by_version: str) -> None:
        assert next(replicate.run(by_version, input={"prompt": "hello"})) == "You "
        pieces = list(replicate.run(by_version, input={"prompt": "hello"}))
        assert "".join(pieces).startswith("You said: hello")
        assert spans()[-1].name == "replicate.run"

    def test_stream(self, replicate: ModuleType, spans: Any) -> None:
        text = "".join(str(event) for event in replicate.stream(CHAT, input={"prompt": "hello"}))
        assert text == "You said: hello STOP and more"
        assert [span.name for span in spans()] == ["replicate.stream"]

    def test_create(self, replicate: ModuleType, spans: Any) -> None:
        version = replicate.models.get("acme/chat-by-version").latest_version
        replicate.predictions.create(version=version, input={"prompt": "hello"}).wait()
        (span,) = spans()
        assert (span.name, span.attributes["gen_ai.request.model"]) == (
            "replicate.predictions.create",
            version.id,
        )
