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

from replicate_kit.testing.suites._backends import BackendSuite
from replicate_kit.testing.suites._drivers import Drive, DriverSuite, drive
from replicate_kit.testing.suites._http_backends import HTTPBackendSuite
from replicate_kit.testing.suites._layers import LayerSuite

__all__ = ["BackendSuite", "Drive", "DriverSuite", "HTTPBackendSuite", "LayerSuite", "drive"]
