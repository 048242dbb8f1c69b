"""Who buys at the demo shop, and where they live: the platform's demo callers, and a draw that is the same on every day."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from voice_agent.demo_backend.wire import Address

_DRAW = 20261123  # the seed of the fixed draw; any constant does
DRAWN_CALLERS = 185


@dataclass(frozen=True, slots=True)
class Region:
    """A country as the demo draws from it. ``cents_per_dollar``: hundredths of ``currency`` for what costs a dollar at home
    (the yen has no hundredths in use, but its amounts are kept in them like all others)."""

    locale: str
    country: str
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


def people(known: Sequence[Mapping[str, str]]) -> list[Person]:
    """The known callers (rows of ``demo.yaml``), who live in the United States, and 185 drawn ones."""
    data = _data()
    rng = random.Random(_DRAW)  # noqa: S311 - reproducible on purpose, nothing secret
    home_region = data["regions"][0]
    region = _region(home_region, data)
    persons = [
        Person(row["caller_id"], row["name"], row["locale"], region, _home(row["name"], home_region, rng))
        for row in known
    ]
    used: dict[str, int] = {}
    weights = [entry["weight"] for entry in data["regions"]]
    for entry in rng.choices(data["regions"], weights, k=DRAWN_CALLERS):
        running = used.get(entry["country"], 0)
        used[entry["country"]] = running + 1
        name = f"{rng.choice(entry['first'])} {rng.choice(entry['last'])}"
        caller_id = _phone(entry, running)
        persons.append(Person(caller_id, name, entry["locale"], _region(entry, data), _home(name, entry, rng)))
    return persons


@cache
def _data() -> Mapping[str, Any]:
    import yaml

    text = resources.files("voice_agent").joinpath("demo_backend", "people.yaml").read_text("utf-8")
    data: Mapping[str, Any] = yaml.safe_load(text)
    return data


def _region(entry: Mapping[str, Any], data: Mapping[str, Any]) -> Region:
    carriers = tuple(data["carriers"][entry["country"]])
    return Region(entry["locale"], entry["country"], entry["currency"], entry["cents_per_dollar"], carriers)


def _phone(entry: Mapping[str, Any], running: int) -> str:
    ranges, count = entry["phones"], entry["phone_count"]
    which, number = divmod(running, count)
    pattern: str = ranges[which]  # a range that runs out is a mistake in the file: it shows at the first start
    return pattern.format(n=entry["phone_first"] + number)


def _home(name: str, entry: Mapping[str, Any], rng: random.Random) -> Address:
    city, region, postal_code = rng.choice(entry["places"])
    return Address(
        recipient=name,
        street=rng.choice(entry["streets"]).format(n=rng.randint(1, 180)),
        extra=rng.choice(entry["extras"]),
        city=city,
        region=region,
        postal_code=postal_code,
        country=entry["country"],
    )
