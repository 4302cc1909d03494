"""Step 4: the progress of a job as plain data for the page, and as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio.to_thread

from tabsynth.web.worker import PHASES

POLL_SECONDS = 0.4
KEEP_ALIVE_SECONDS = 15.0
WIDTH, HEIGHT = 600.0, 160.0
"""View box of the learning curve."""

WEIGHTS = {"measure": 0.05, "learn": 0.6, "sample": 0.05, "evaluate": 0.2, "audit": 0.1}
"""Share of each phase in the bar of the whole job."""

ENDED = ("done", "failed", "cancelled", "stopped")


def live(status: Mapping[str, Any], private: bool) -> dict[str, Any]:
    """Return the state of a job for the page."""
    state, phase, share = status.get("state", ""), status.get("phase", ""), float(status.get("share", 0.0))
    names = [name for name in PHASES if private or name != "measure"]
    at = len(names) if state == "done" else names.index(phase) if phase in names else 0
    whole = sum(WEIGHTS[name] for name in names)
    done = sum(WEIGHTS[name] for name in names[:at]) + (WEIGHTS[names[at]] * share if at < len(names) else 0.0)
    training = status.get("action") == "train"
    return {
        "state": state if training or state in ("", "running") else "",
        "action": status.get("action", ""),
        "message": status.get("message", "") if training else "",
        "percent": round(100 * done / whole) if training else 0,
        "phases": [
            {
                "name": name,
                "title": PHASES[name][0],
                "words": PHASES[name][1],
                "state": "done" if i < at else "now" if i == at else "later",
            }
            for i, name in enumerate(names)
        ],
        "curve": curve_path(status.get("curve", [])),
    }


def curve_path(points: list[list[float]]) -> str:
    """Return the validation score over the steps as the path of an SVG; empty below two points."""
    if len(points) < 2:
        return ""
    steps, values = [point[0] for point in points], [point[1] for point in points]
    low, high = min(values), max(values)
    height, width = max(high - low, 1e-12), max(steps[-1] - steps[0], 1e-12)
    places = [
        f"{WIDTH * (step - steps[0]) / width:.1f} {HEIGHT - 8 - (HEIGHT - 16) * (value - low) / height:.1f}"
        for step, value in zip(steps, values, strict=True)
    ]
    return "M" + "L".join(places)


async def stream(current: Callable[[], dict[str, Any]]) -> AsyncIterator[str]:
    """Yield the events with the progress whenever it changes, and a last one at the end."""
    last, quiet = "", 0.0
    while True:
        data = await anyio.to_thread.run_sync(current)
        text = json.dumps(data)
        if text != last:
            yield f"data: {text}\n\n"
            last, quiet = text, 0.0
        elif quiet > KEEP_ALIVE_SECONDS:
            yield ": still here\n\n"
            quiet = 0.0
        if data["state"] in ENDED or not data["state"]:
            return
        await asyncio.sleep(POLL_SECONDS)
        quiet += POLL_SECONDS
