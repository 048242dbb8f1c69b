"""Query parameters, control frames and who may come in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.errors import CallerError
from voice_agent.gateway.access import bearer_token, origin_allowed, token_matches
from voice_agent.gateway.control import (
    BURST_FRAMES,
    FRAMES_PER_S,
    ControlBudget,
    ControlError,
    HangUpAsked,
    KeyPressed,
    OutputResumed,
    PlaybackReported,
    parse_control,
)
from voice_agent.gateway.parameters import CallParameters, call_parameters, parse_query


class TestQuery:
    def test_defaults_are_those_of_the_contract(self) -> None:
        assert call_parameters({}) == CallParameters("", "", False, 16_000, 24_000)

    @pytest.mark.parametrize("query", ["caller_id=+15550100", "caller_id=%2B15550100"])
    def test_a_plus_sign_is_a_plus_sign(self, query: str) -> None:
        assert parse_query(query)["caller_id"] == "+15550100"

    def test_all_parameters(self) -> None:
        query = parse_query(
            "caller_id=Jos%C3%A9&locale=es-ES&events=1&in_rate=8000&out_rate=48000&other=1&agent=bank&called=+1 555"
        )
        expected = CallParameters("José", "es-ES", True, 8_000, 48_000, "bank", "+1 555")
        assert call_parameters(query) == expected

    @pytest.mark.parametrize("locale", ["x" * 36, "en US", "../../etc", "en\nUS"])
    def test_what_cannot_be_a_locale_counts_as_none(self, locale: str) -> None:
        assert call_parameters({"locale": locale}).locale == "en-US"

    def test_an_unknown_locale_is_left_to_the_call(self) -> None:
        assert call_parameters({"locale": "tlh"}).locale == "tlh"

    @pytest.mark.parametrize(
        "query", [{"in_rate": "16000.0"}, {"out_rate": "١٦٠٠٠"}, {"events": "true"}, {"caller_id": "a" * 129}]
    )
    def test_an_error_names_its_parameter(self, query: dict[str, str]) -> None:
        with pytest.raises(CallerError, match=f"^{next(iter(query))}: ") as caught:
            call_parameters(query)
        assert caught.value.close_code == 1008
        assert len(str(caught.value).encode()) <= 123

    def test_a_flood_of_parameters(self) -> None:
        with pytest.raises(CallerError, match="at most 64"):
            parse_query("&".join(f"a{i}=1" for i in range(65)))

    @given(st.text(max_size=300))
    def test_any_query_is_parsed_or_refused(self, text: str) -> None:
        with suppress(CallerError):
            assert len(call_parameters(parse_query(text)).caller_id) <= 128


class TestControl:
    @pytest.mark.parametrize(
        ("text", "frame"),
        [
            ('{"type":"dtmf","key":"*"}', KeyPressed("*")),
            ('{"type":"hangup","why":"later"}', HangUpAsked()),
            ('{"type":"playback","reply_id":3,"played_ms":1250.5}', PlaybackReported(3, 1.2505)),
            ('{"type":"resume"}', OutputResumed()),
        ],
    )
    def test_frames(self, text: str, frame: object) -> None:
        assert parse_control(text) == frame

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("", "not_json"),
            ("[" * 4_000, "not_json"),
            ('"hangup"', "not_json"),
            ("{}", "unknown_type"),
            ('{"type":["dtmf"]}', "unknown_type"),
            ('{"type":"dtmf"}', "bad_key"),
            ('{"type":"dtmf","key":"12"}', "bad_key"),
            ('{"type":"dtmf","key":5}', "bad_key"),
            ('{"type":"dtmf","key":"A"}', "bad_key"),
            ('{"type":"playback","reply_id":true,"played_ms":1}', "bad_playback"),
            ('{"type":"playback","reply_id":-1,"played_ms":1}', "bad_playback"),
            ('{"type":"playback","reply_id":1,"played_ms":-1}', "bad_playback"),
            ('{"type":"playback","reply_id":1,"played_ms":1e300}', "bad_playback"),
            ('{"type":"playback","reply_id":1,"played_ms":"9"}', "bad_playback"),
        ],
    )
    def test_what_is_not_understood(self, text: str, code: str) -> None:
        with pytest.raises(ControlError) as caught:
            parse_control(text)
        assert caught.value.code == code

    def test_an_error_repeats_nothing_of_the_frame(self) -> None:
        with pytest.raises(ControlError) as caught:
            parse_control('{"type":"dtmf","key":"4271"}')
        assert "4271" not in str(caught.value)

    @given(st.text(max_size=200))
    def test_any_text_is_a_frame_or_an_error(self, text: str) -> None:
        with pytest.raises(ControlError):
            parse_control("x" + text)

    def test_the_budget_is_a_burst_and_then_a_rate(self) -> None:
        budget = ControlBudget(now=100.0)
        assert all(budget.take(100.0) for _ in range(BURST_FRAMES))
        assert not budget.take(100.0)
        assert sum(budget.take(101.0) for _ in range(1_000)) == FRAMES_PER_S


class TestAccess:
    def test_tokens(self) -> None:
        assert token_matches("", "anything")
        assert token_matches("gehêim", "gehêim")
        assert not token_matches("secret", "")
        assert not token_matches("secret", "secret ")

    @pytest.mark.parametrize(
        ("header", "token"), [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("", ""), ("abc", "")]
    )
    def test_bearer_header(self, header: str, token: str) -> None:
        assert bearer_token(header) == token

    @pytest.mark.parametrize(
        ("origin", "host", "allowed", "may"),
        [
            ("", "a:1", (), True),
            ("http://a:1", "a:1", (), True),
            ("https://A.example", "a.example", (), True),
            ("http://a:2", "a:1", (), False),
            ("http://a", "a:1", (), False),
            ("http://b.example", "a", (), False),
            ("http://b.example", "a", ("http://b.example",), True),
            ("https://b.example", "a", ("http://b.example",), False),
            ("null", "a", (), False),
            ("null", "", (), False),
            ("http://[", "a", (), False),
            ("http://anything", "a", ("*",), True),
        ],
    )
    def test_origins(self, origin: str, host: str, allowed: tuple[str, ...], may: bool) -> None:
        assert origin_allowed(origin, host, allowed) is may
