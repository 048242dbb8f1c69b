"""Who buys at the demo shop, and where they live: the platform's demo people, their homes from a draw that is the same on
every day."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from voice_agent.demo_backend.wire import Address
from voice_agent.store.demo import demo_callers

_DRAW = 20261123  # the seed of the fixed draw; any constant does


@dataclass(frozen=True, slots=True)
class Region:
    """A country as the demo draws from it. ``cents_per_dollar``: hundredths of ``currency`` for what costs a dollar at home
    (the yen has no hundredths in use, but its amounts are kept in them like all others)."""

    currency: str
    cents_per_dollar: int
    carriers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """One caller, who is also a customer. ``home`` is where their parcels go."""

    caller_id: str
    name: str
    locale: str
    region: Region
    home: Address


def people() -> list[Person]:
    """All of them, in the order of the list of demo callers."""
    places: Mapping[str, Any] = load_yaml("regions.yaml")
    regions = {
        country: Region(entry["currency"], entry["cents_per_dollar"], tuple(entry["carriers"]))
        for country, entry in places.items()
    }
    rng = random.Random(_DRAW)  # noqa: S311 - reproducible on purpose, nothing secret
    return [
        Person(
            caller.caller_id,
            caller.name,
            caller.locale,
            regions[caller.country],
            _home(caller.name, caller.country, places[caller.country], rng),
        )
        for caller in demo_callers()
    ]


def load_yaml(name: str) -> Any:
    """A data file of this room."""
    import yaml

    text = resources.files("voice_agent").joinpath("demo_backend", name).read_text("utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def _home(name: str, country: str, entry: Mapping[str, Any], rng: random.Random) -> Address:
    city, region, postal_code = rng.choice(entry["places"])
    return Address(
        recipient=name,
        street=rng.choice(entry["streets"]).format(n=rng.randint(1, 180)),
        extra=rng.choice(entry["extras"]),
        city=city,
        region=region,
        postal_code=postal_code,
        country=country,
    )
