from __future__ import annotations

from pathlib import Path

import pytest

from voice_agent.errors import ConfigError
from voice_agent.tools.base import IdentityLevel
from voice_agent.tools.sources.egress import Reach
from voice_agent.tools.sources.tools_file import ToolsFile, load_tools_file

GOOD = """\
hosts:
  api.example.com: public
  crm.internal:8443: internal
  127.0.0.1:9300: loopback
http:
  state:
    description: Tells the state.
    url: https://api.example.com/orders/{order}
    parameters:
      order: {description: The number.}
      note: {required: false}
    query:
      note: "{note}"
    read_back:
      en: Order {order}?
mcp:
  weather:
    command: [python, weather.py]
    tools:
      forecast: {identity: none, writes: no, offered: yes}
  remote:
    url: http://127.0.0.1:9300/mcp
"""


def load(tmp_path: Path, text: str) -> ToolsFile:
    path = tmp_path / "tools.yaml"
    path.write_text(text)
    return load_tools_file(path)


def test_what_is_not_said_is_careful(tmp_path: Path) -> None:
    file = load(tmp_path, GOOD)
    assert file.reachable == {
        "api.example.com:443": Reach.PUBLIC,
        "crm.internal:8443": Reach.INTERNAL,
        "127.0.0.1:9300": Reach.LOOPBACK,
    }
    assert file.http["state"].identity is IdentityLevel.VERIFIED
    forecast = file.mcp["weather"].tools["forecast"]
    assert (forecast.identity, forecast.writes, forecast.offered) == (IdentityLevel.NONE, False, True)
    unlisted = type(forecast)()
    assert (unlisted.identity, unlisted.writes, unlisted.offered) == (IdentityLevel.VERIFIED, True, False)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("https://api.example.com/", "http://crm.internal:8443/", 8, "must begin with https://"),
        ("https://api.example.com/", "https://evil.example/", 8, "not listed under hosts"),
        ("https://api.example.com/", "https://{order}.example.com/", 8, "url"),
        (
            "https://api.example.com/orders/{order}",
            "https://api.example.com{order}",
            8,
            "no field may stand in the host",
        ),
        ("https://api.example.com/", "https://api.example.com:444/", 8, "not listed"),
        ("https://api", "https://me:pw@api", 8, "user name"),
        ("orders/{order}", "orders/{order}?x=1", 8, "under query"),
        ("orders/{order}", "orders/{note}", 8, "{note} must be a required parameter"),
        ("orders/{order}", "orders/{other}", 8, "{other} must be a required parameter"),
        ("orders/{order}", "orders/{order", 8, "single brace"),
        ('"{note}"', '"{ntoe}"', 13, "{ntoe} is no parameter"),
        ('    query:\n      note: "{note}"\n', "", 11, "not used"),
        ("Order {order}?", "Order {order}.", 6, "question mark"),
        ("Order {order}?", "Order {note}?", 15, "required parameter"),
        ("en: Order", "es: Order", 6, "language en"),
        ("description: Tells the state.", "descripton: x", 6, "description"),
        ("crm.internal:8443: internal", "crm.internal/x: internal", 3, "host name, or host:port"),
        ("internal\n", "private\n", 3, "public"),
        ("order: {description", "order: {pattern: '(', description", 10, "regular expression"),
        ("order: {description", "order: {minimum: 1, description", 10, "for numbers"),
        ("note: {required", "note: {requierd", 11, "Extra inputs"),
        ("command: [python, weather.py]", "folder: /tmp", 17, "either command"),
        ("http://127.0.0.1:9300/mcp", "http://127.0.0.1:9301/mcp", 22, "not listed"),
        ("offered: yes", "offered: maybe", 20, "bool"),
        ("offered: yes", "inject: {user: caller.id}", 20, "must be verified"),
        ("orders/{order}\n", "{caller.id}/{order}\n    identity: none\n", 9, "must be verified"),
        ("    read_back:\n      en: Order {order}?\n", "    headers:\n      Host: x\n", 15, "cannot be set"),
        ("    read_back:\n      en: Order {order}?\n", "    business:\n      404: Not found!\n", 15, "one word"),
        ("    read_back:\n      en: Order {order}?\n", "    business:\n      200: fine\n", 15, "400"),
        ("    read_back:\n      en: Order {order}?\n", "    result:\n      a: b..c\n", 15, "path"),
        ("    read_back:\n      en: Order {order}?\n", "    body: {a: 1}\n", 6, "a GET has no body"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as error:
        load(tmp_path, GOOD.replace(old, new))
    message = str(error.value)
    assert words in message
    assert "\n" not in message
    assert message.partition("tools.yaml:")[2].startswith(f"{line}: ")
