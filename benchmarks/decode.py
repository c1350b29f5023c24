"""What it costs to decode a prediction of 1.5 KB, beside `json.loads` and, where installed, the official client."""

import json
import timeit
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from replicate_kit import Prediction

ROUNDS, CALLS = 15, 2000
BODY = json.dumps(
    {
        "id": "gm3qorzdhgbfurvjtvhg6dckhu",
        "model": "acme/painter",
        "version": "f" * 64,
        "input": {"prompt": "a wombat at sea", "width": 1024, "height": 1024, "seed": 42, "guidance": 3.5},
        "logs": "Using seed: 42\n"
        + "".join(f" {step}%|{'#' * (step // 10)}| {step}/100\n" for step in range(0, 101, 10)),
        "output": [f"https://replicate.delivery/pbxt/{'a' * 44}/out-{number}.webp" for number in range(4)],
        "data_removed": False,
        "error": None,
        "status": "succeeded",
        "source": "api",
        "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000000Z",
        "completed_at": "2026-01-01T00:00:05.000000Z",
        "metrics": {"predict_time": 4.0, "total_time": 5.0},
        "urls": {
            "get": "https://api.replicate.com/v1/predictions/gm3qorzdhgbfurvjtvhg6dckhu",
            "cancel": "https://api.replicate.com/v1/predictions/gm3qorzdhgbfurvjtvhg6dckhu/cancel",
            "web": "https://replicate.com/p/gm3qorzdhgbfurvjtvhg6dckhu",
        },
    }
).encode()


def candidates() -> dict[str, Callable[[], object]]:
    """What is measured, the yardstick first."""
    found: dict[str, Callable[[], object]] = {
        "json.loads": lambda: json.loads(BODY),
        "replicate_kit.Prediction": lambda: Prediction(json.loads(BODY)),
        "the same, four fields read": lambda: _read(Prediction(json.loads(BODY))),
    }
    try:
        official = version("replicate")
        from replicate.prediction import Prediction as Official

        found[f"replicate {official}"] = lambda: Official(**json.loads(BODY))
    except (PackageNotFoundError, ImportError):
        print("The official client is not installed: pip install replicate==1.0.7 to compare with it.")
    return found


def _read(prediction: Prediction) -> object:
    return prediction.id, prediction.status, prediction.created_at, prediction["output"]


def main() -> None:
    """Measure all in turn, and print the best of each: what disturbs the machine only ever adds."""
    measured = candidates()
    best = dict.fromkeys(measured, float("inf"))
    for _ in range(ROUNDS):
        for name, decode in measured.items():
            best[name] = min(best[name], timeit.timeit(decode, number=CALLS) / CALLS)
    yardstick = best["json.loads"]
    for name, seconds in best.items():
        print(f"{name:30} {seconds * 1e6:7.2f} us  {seconds / yardstick:6.2f} x")


if __name__ == "__main__":
    main()
