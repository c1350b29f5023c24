"""Tests that a plugin's author runs against the plugin: subclass a suite in a test file, and give it its fixture.

```python
class TestMyBackend(BackendSuite):
    @pytest.fixture
    def backend(self):
        return MyBackend()
```

The fixture `drive` is for tests of your own operations; import it in `conftest.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit._lazy import loader
from replicate_kit.testing.suites._accessors import AccessorSuite
from replicate_kit.testing.suites._backends import BackendSuite
from replicate_kit.testing.suites._drivers import Drive, DriverSuite, drive
from replicate_kit.testing.suites._http_backends import HTTPBackendSuite
from replicate_kit.testing.suites._layers import LayerSuite
from replicate_kit.testing.suites._ledgers import LedgerSuite
from replicate_kit.testing.suites._resources import ResourceSuite
from replicate_kit.testing.suites._shared_ledgers import LeasedLedgerSuite, SharedLedgerSuite
from replicate_kit.testing.suites._stores import StoreSuite

if TYPE_CHECKING:
    from replicate_kit.testing.suites._ledger_machine import LedgerMachine, ledger_machine

__all__ = [
    "AccessorSuite",
    "BackendSuite",
    "Drive",
    "DriverSuite",
    "HTTPBackendSuite",
    "LayerSuite",
    "LeasedLedgerSuite",
    "LedgerMachine",
    "LedgerSuite",
    "ResourceSuite",
    "SharedLedgerSuite",
    "StoreSuite",
    "drive",
    "ledger_machine",
]

# They need hypothesis, which the other suites do without.
_ORIGINS = {"LedgerMachine": "_ledger_machine", "ledger_machine": "_ledger_machine"}

if not TYPE_CHECKING:
    __getattr__, __dir__ = loader(__name__, _ORIGINS)
