"""What holds for the tests of the core and of all plugins."""

import gc
import signal
from collections.abc import Iterator

import pytest

SLOW_LIMIT = 1800.0
"""Seconds that a test marked `slow` may take; pyproject.toml has the limit of the others."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give slow tests more time before they count as hanging, unless a limit was said with `--timeout`."""
    said = config.getoption("timeout", None) is not None
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout") and not said:
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


@pytest.fixture(autouse=True)
def _no_kept_token(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """API tokens are neither read from nor kept in the folders and the keyring of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT raise `KeyboardInterrupt` in the test, and in the Python programs that it starts.

    `nohup`, a script's background job and some runners of continuous integration start programs that ignore SIGINT.
    Python leaves it so, and programs inherit it: whoever waits to be interrupted would wait for ever.

    Nothing is collected meanwhile: an exception that is raised in a callback of the collector reaches nobody.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)
