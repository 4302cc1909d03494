"""Composition of privacy events: the smaller epsilon of Renyi and privacy-loss-distribution (PLD) accounting.

Both are upper bounds. Gaussian events are first composed to one, which is exact. Events are plain data. Events that
dp-accounting does not support, or that are not listed here, are rejected.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.gaussian_dp import gdp_epsilon
from tabsynth.privacy.accounting.subsampled_gaussian import sampled_gaussian_curve

NEIGHBOURS = "add_or_remove_one"
"""The neighbouring relation: one data set is the other with one unit (row or person) added."""

RENYI_ORDERS: npt.NDArray[np.float64] = np.exp(np.linspace(math.log(1.02), math.log(1e6), 1500))
"""Renyi orders of events whose curve is cheap: a grid of 1 % steps loses less than 0.01 % of epsilon."""

SUBSAMPLED_RENYI_ORDERS: tuple[float, ...] = (
    *(1 + i / 10 for i in range(10, 100)),
    *(float(i) for i in range(11, 64)),
    *(72.0, 80.0, 96.0, 112.0, 128.0, 160.0, 192.0, 224.0, 256.0, 320.0, 384.0, 448.0, 512.0, 768.0, 1024.0),
)
"""Renyi orders of subsampled events, whose curve is expensive."""

LOSS_STEP = 5e-4
"""Discretisation of privacy losses, rounded up; compared with steps five times finer, epsilon rises by < 3e-4."""

_FIELDS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "NoOpDpEvent": {},
    "NonPrivateDpEvent": {},
    "GaussianDpEvent": {"noise_multiplier": float},
    "LaplaceDpEvent": {"noise_multiplier": float},
    "DiscreteLaplaceDpEvent": {"noise_parameter": float, "sensitivity": int},
    "ZCDpEvent": {"rho": float, "xi": float},
    "PoissonSampledDpEvent": {"sampling_probability": float},
    "SelfComposedDpEvent": {"count": int},
    "ComposedDpEvent": {},
    "RepeatAndSelectDpEvent": {"mean": float, "shape": float},
}
"""Events that a ledger accepts, with their parameters; composite ones hold others under ``event`` or ``events``."""

_POSITIVE = {"noise_multiplier", "noise_parameter", "sensitivity", "mean"}
_WITH_INNER_EVENT = {"PoissonSampledDpEvent", "SelfComposedDpEvent", "RepeatAndSelectDpEvent"}


def event_to_data(event: Any) -> dict[str, Any]:
    """Return a dp-accounting event as plain data.

    Raises:
        PrivacyError: Not an event of dp-accounting, or one that the ledger does not accept.
    """
    name = type(event).__name__
    if name not in _FIELDS or not type(event).__module__.startswith("dp_accounting"):
        raise PrivacyError(
            f"{event!r} is not an event that the ledger can account for; it accepts {', '.join(sorted(_FIELDS))}"
        )
    data: dict[str, Any] = {"type": name, **{field: getattr(event, field) for field in _FIELDS[name]}}
    if name in _WITH_INNER_EVENT:
        data["event"] = event_to_data(event.event)
    if name == "ComposedDpEvent":
        data["events"] = [event_to_data(part) for part in event.events]
    return validate_event(data)


def validate_event(data: Mapping[str, Any]) -> dict[str, Any]:
    """Validate an event as data and return it with plain numbers.

    Raises:
        PrivacyError: The event is unknown, or one of its parameters is invalid.
    """
    name = data.get("type")
    if not isinstance(name, str) or name not in _FIELDS:
        raise PrivacyError(f"{dict(data)!r} is not an event of the ledger; it accepts {', '.join(sorted(_FIELDS))}")
    out: dict[str, Any] = {"type": name}
    for field, convert in _FIELDS[name].items():
        value = data.get(field)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise PrivacyError(f"{name}.{field} must be a number, not {value!r}")
        if not math.isfinite(value) or value < 0 or (field in _POSITIVE and value == 0):
            raise PrivacyError(f"{name}.{field} must be finite and positive, not {value!r}")
        if convert is int and value != int(value):
            raise PrivacyError(f"{name}.{field} must be a whole number, not {value!r}")
        out[field] = convert(value)
    if out.get("sampling_probability", 0) > 1:
        raise PrivacyError(f"{name}.sampling_probability is {out['sampling_probability']}, above 1")
    inner = {"event"} if name in _WITH_INNER_EVENT else {"events"} if name == "ComposedDpEvent" else set()
    if set(data) != {"type", *_FIELDS[name], *inner}:
        raise PrivacyError(f"{name} as data has {sorted(_FIELDS[name])} and {sorted(inner)}, not {sorted(data)}")
    if inner == {"event"}:
        out["event"] = validate_event(data["event"])
    if inner == {"events"}:
        out["events"] = [validate_event(part) for part in data["events"]]
    return out


def event_from_data(data: Mapping[str, Any]) -> Any:
    """Rebuild a dp-accounting event from the output of ``event_to_data``.

    Raises:
        PrivacyError: The data do not describe an event.
    """
    from dp_accounting import dp_event

    facts = {key: value for key, value in validate_event(data).items() if key != "type"}
    if "event" in facts:
        facts["event"] = event_from_data(facts["event"])
    if "events" in facts:
        facts["events"] = [event_from_data(part) for part in facts["events"]]
    return getattr(dp_event, data["type"])(**facts)


def compose_epsilon(events: Sequence[Mapping[str, Any]], delta: float, *, quick: bool = False) -> float:
    """Return the epsilon of adaptively composed events.

    Args:
        events: Results of ``event_to_data``.
        delta: The delta at which epsilon is computed.
        quick: Skip the expensive PLD accountant if the Renyi accountant supports the events.

    Raises:
        PrivacyError: Neither accountant can compose the events.
    """
    return _epsilon(json.dumps(list(events), sort_keys=True), float(delta), quick)


@lru_cache(maxsize=256)
def _epsilon(events: str, delta: float, quick: bool) -> float:
    """Return ``compose_epsilon`` of events given as canonical JSON."""
    if events == "[]":
        return 0.0
    if "NonPrivateDpEvent" in events:
        return math.inf
    mu, others = _split_gaussians(json.loads(events))
    if not others:
        return 0.0 if mu == 0 else gdp_epsilon(mu, delta) if delta > 0 else math.inf
    parts = json.dumps([*others, *([{"type": "GaussianDpEvent", "noise_multiplier": 1 / mu}] if mu else [])])
    bounds = []
    renyi = _renyi_curve(parts)
    if renyi is not None:
        bounds.append(_epsilon_from_renyi(*renyi, delta))
    if not (quick and bounds):
        losses = _loss_distribution(parts)
        if losses is not None:
            bounds.append(float(losses.get_epsilon(delta)))
    if not bounds:
        kinds = sorted({name for name in _FIELDS if f'"{name}"' in events})
        raise PrivacyError(
            f"no accountant composes {' with '.join(kinds)}; charge the mechanism as a ZCDpEvent instead"
        )
    return min(bounds)


@lru_cache(maxsize=64)
def _renyi_curve(events: str) -> tuple[Floats, Floats] | None:
    """Return the orders and the Renyi curve of composed events; None if they have none."""
    from dp_accounting import rdp

    expensive = "PoissonSampledDpEvent" in events or "RepeatAndSelectDpEvent" in events
    accountant = rdp.RdpAccountant(SUBSAMPLED_RENYI_ORDERS if expensive else RENYI_ORDERS)
    parts = json.loads(events)
    if not all(accountant.supports(event_from_data(part)) for part in parts):
        return None
    orders = np.asarray(accountant.orders, np.float64)
    sampled = [(count, part) for count, part in map(_unfold, parts) if _is_sampled_gaussian(part)]
    for part in parts:
        if not _is_sampled_gaussian(_unfold(part)[1]):
            accountant.compose(event_from_data(part))
    curve = np.asarray(accountant.rdp, np.float64)
    for count, part in sampled:
        rate, multiplier = part["sampling_probability"], part["event"]["noise_multiplier"]
        curve = curve + count * sampled_gaussian_curve(rate, multiplier, orders)
    return orders, curve


@lru_cache(maxsize=4)
def _loss_distribution(events: str) -> Any:
    """Return the PLD accountant of composed events, which takes seconds for many steps; None if it has none."""
    from dp_accounting import dp_event, pld

    accountant = pld.PLDAccountant(value_discretization_interval=LOSS_STEP)
    whole = dp_event.ComposedDpEvent([event_from_data(part) for part in json.loads(events)])
    return accountant.compose(whole) if accountant.supports(whole) else None


def _unfold(event: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
    """Return how often an event is composed with itself, and the single event."""
    count = 1
    while event["type"] == "SelfComposedDpEvent":
        count, event = count * event["count"], event["event"]
    return count, event


def _is_sampled_gaussian(event: Mapping[str, Any]) -> bool:
    return bool(event["type"] == "PoissonSampledDpEvent" and event["event"]["type"] == "GaussianDpEvent")


def _split_gaussians(events: Sequence[Mapping[str, Any]]) -> tuple[float, list[Mapping[str, Any]]]:
    """Return the mu of the composed Gaussian events (Dong, Roth and Su, corollary 2), and the other events."""
    squares, others = 0.0, list[Mapping[str, Any]]()
    for event in events:
        if event["type"] == "GaussianDpEvent":
            squares += event["noise_multiplier"] ** -2.0
        elif event["type"] == "ComposedDpEvent":
            mu, rest = _split_gaussians(event["events"])
            squares, others = squares + mu**2, [*others, *rest]
        elif event["type"] == "SelfComposedDpEvent":
            mu, rest = _split_gaussians([event["event"]])
            squares += event["count"] * mu**2
            others += [{**event, "event": part} for part in rest]
        elif event["type"] != "NoOpDpEvent":
            others.append(event)
    return math.sqrt(squares), others


def _epsilon_from_renyi(orders: npt.NDArray[np.float64], curve: npt.NDArray[np.float64], delta: float) -> float:
    """Return the smallest epsilon over the orders of a Renyi curve (Proposition 12 of arXiv 2004.00010v4)."""
    if delta <= 0:
        return math.inf
    bound = curve + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(float(bound[~np.isnan(bound)].min(initial=math.inf)), 0.0)


def largest_rho(epsilon: float, delta: float) -> float:
    """Return the largest rho of zCDP events for which ``compose_epsilon`` gives at most this epsilon.

    With rho-zCDP, the Renyi bound at order a is rho a + log(1 - 1/a) - log(delta a) / (a - 1) (Proposition 12 of
    Canonne, Kamath and Steinke, arXiv 2004.00010v4). It is linear in rho, so each order is solved for rho.
    """
    orders = RENYI_ORDERS
    fixed = np.log1p(-1 / orders) - math.log(delta) / (orders - 1) - np.log(orders) / (orders - 1)
    # Slightly smaller, so that rounded shares of rho never sum to more than requested.
    return float(np.max((epsilon - fixed) / orders)) * (1 - 1e-9)
