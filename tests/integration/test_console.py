"""The call console in a real browser: against a small call for the page's own behaviour, and a whole spoken call."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from tests.conftest import Say
from tests.integration.pages import CHROMIUM, MICROPHONE_RATE_HZ, OpenPage, open_page, write_microphone
from tests.servers import RunningServer
from tests.unit.gateway.calls import FailingCall, Served, StuckCall, served
from websockets.asyncio.client import connect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium (make test installs it, or says how)"),
]

PIN_SPELLINGS = re.compile(r"4\D{0,2}2\D{0,2}7\D{0,2}1|four\W+two|seventy[- ]one|forty[- ]two", re.IGNORECASE)

# Text and the ground it stands on, in the parts of the page that hold any.
CONTRAST = """
() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.matches(".unseen *, noscript, :disabled, option")) continue;
    const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(luminance).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const what = `${element.tagName}.${element.className} "${element.textContent.slice(0, 30)}"`;
    if (ratio < 4.5) low.push(`${what} ${ratio.toFixed(2)}`);
  }
  return low;
}
"""

# Interactive elements without a name that a screen reader could say.
NAMELESS = """
() => [...document.querySelectorAll("button, input, select, [role=meter], summary, a[href], [tabindex]")]
  .filter((e) => !(e.textContent.trim() || e.labels?.length || e.getAttribute("aria-label")
    || document.getElementById(e.getAttribute("aria-labelledby") ?? "")))
  .map((e) => e.outerHTML)
"""


# A tone through the page's resampler in blocks of 128 samples: [output RMS / input RMS, output samples a second].
RESAMPLED_TONE = """
async ([fromHz, toHz, toneHz]) => {
  const { Resampler } = await import("/console/resampler.js");
  const resampler = new Resampler(fromHz, toHz);
  const out = [];
  for (let at = 0; at < fromHz; at += 128) {
    const block = Float32Array.from({ length: 128 }, (_, i) => Math.sin((2 * Math.PI * toneHz * (at + i)) / fromHz));
    out.push(...resampler.process(block));
  }
  const steady = out.slice(200, -200);
  return [Math.sqrt((2 * steady.reduce((sum, x) => sum + x * x, 0)) / steady.length), out.length];
}
"""


async def start_call(page: Page) -> None:
    await page.click("#call")
    await expect(page.locator("body")).to_have_attribute("data-state", "active", timeout=15_000)


async def overflow_px(page: Page) -> int:
    width: int = await page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
    return width


class TestPage:
    async def test_call_and_hang_up(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            page = opened.page
            await page.fill("#caller-id", "+15550123")
            await page.select_option("#locale", "fr-FR")
            await start_call(page)
            await expect(page.locator(".line.agent").first).to_contain_text("How can I help")
            await expect(page.locator("#hang-up")).to_be_focused()
            await page.click("#hang-up")
            await expect(page.locator("#status")).to_have_text("Call ended")
            await expect(page.locator("#call")).to_be_focused()
            assert await server.idle()
            call = server.calls[0]
            assert (call.caller_id, call.locale, call.hang_ups) == ("+15550123", "fr-FR", ["hangup"])
            assert len(call.heard) > 0
            assert opened.complaints == []

    async def test_the_microphone_arrives_in_real_time_and_playback_is_acknowledged(
        self, speech: Say, tmp_path: Path
    ) -> None:
        words = speech("Could you tell me whether my parcel has left the warehouse?", rate_hz=MICROPHONE_RATE_HZ)
        microphone = write_microphone(tmp_path / "microphone.wav", [words] * 5)
        async with served() as server, open_page(server.http("/"), microphone=microphone) as opened:
            page = opened.page
            await start_call(page)
            # The call echoes the microphone, so the page has something to play.
            loud = re.compile(r"[2-9]\d|100")
            for meter in ("#meter-in", "#meter-out"):
                await expect(page.locator(meter)).to_have_attribute("aria-valuenow", loud)
            call = server.calls[0]
            before = len(call.heard)
            await page.wait_for_timeout(2_000)
            assert (len(call.heard) - before) / 32_000 == pytest.approx(2.0, abs=0.5)
            assert call.acknowledged
            assert all(played_s >= 0 for _, played_s in call.acknowledged)

    async def test_keys_by_mouse_and_keyboard_are_sent_and_never_shown(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            page = opened.page
            await page.keyboard.press("9")  # no call yet: goes nowhere
            await start_call(page)
            await page.click("button[data-key='4']")
            for key in ("2", "#", "*"):
                await page.keyboard.press(key)
            await expect(page.locator("#pressed")).to_have_text("••••")
            await page.click("#hang-up")
            await expect(page.locator("body")).to_have_attribute("data-state", "idle")
            assert server.calls[0].keys == ["4", "2", "#", "*"]

    async def test_typing_a_caller_number_presses_no_keys(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            await opened.page.fill("#caller-id", "")
            await opened.page.type("#caller-id", "42#")
            await start_call(opened.page)
            assert server.calls[0].caller_id == "42#"

    async def test_muting_sends_silence(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            await start_call(opened.page)
            await opened.page.wait_for_timeout(500)
            await opened.page.click("#mute")
            await expect(opened.page.locator("#mute")).to_have_attribute("aria-pressed", "true")
            await opened.page.wait_for_timeout(300)
            call = server.calls[0]
            at = len(call.heard)
            await opened.page.wait_for_timeout(1_500)
            muted = bytes(call.heard[at:])
            assert len(muted) > 32_000
            assert muted.count(0) == len(muted)


class TestSound:
    @pytest.mark.parametrize(
        ("from_hz", "to_hz", "tone_hz", "kept"),
        [
            (48_000, 16_000, 1_000, True),
            (48_000, 16_000, 6_000, True),
            (48_000, 16_000, 10_000, False),
            (44_100, 16_000, 3_000, True),
            (44_100, 16_000, 12_000, False),
            (24_000, 48_000, 9_000, True),
            (24_000, 44_100, 5_000, True),
        ],
    )
    async def test_the_pages_resampler(self, from_hz: int, to_hz: int, tone_hz: int, kept: bool) -> None:
        """Speech passes unchanged; what would fold back into it is gone."""
        async with served() as server, open_page(server.http("/")) as opened:
            gain, samples = await opened.page.evaluate(RESAMPLED_TONE, [from_hz, to_hz, tone_hz])
            assert samples == pytest.approx(to_hz, abs=0.01 * to_hz)
            if kept:
                assert gain == pytest.approx(1.0, abs=0.02)
            else:
                assert gain < 0.002  # 54 dB down


class TestProblems:
    async def problem(self, opened: OpenPage, *, says: str) -> None:
        await expect(opened.page.locator("#problem")).to_contain_text(says, timeout=15_000)
        await expect(opened.page.locator("body")).to_have_attribute("data-state", "idle")

    async def test_a_refused_microphone_and_calling_without_one(self) -> None:
        async with served() as server, open_page(server.http("/"), allowed=False) as opened:
            await opened.page.click("#call")
            await self.problem(opened, says="The microphone is blocked for this page.")
            assert server.calls == []
            await opened.page.click("#without-mic")
            await expect(opened.page.locator(".line.agent")).to_contain_text("How can I help")
            await opened.page.keyboard.press("5")
            await expect(opened.page.locator("#pressed")).to_have_text("•")

    async def test_a_page_that_may_not_use_a_microphone(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            await opened.page.evaluate("Object.defineProperty(window, 'isSecureContext', { value: false })")
            await opened.page.click("#call")
            await self.problem(opened, says="Browsers give the microphone only to pages opened over https://")

    async def test_a_busy_server(self) -> None:
        async with served(capacity=1) as server, connect(server.ws()) as other:
            await other.recv()
            async with open_page(server.http("/")) as opened:
                await expect(opened.page.locator("#status")).to_have_text("Not ready: all 1 places are taken")
                await opened.page.click("#call")
                await self.problem(opened, says="The server cannot take the call now (all 1 places are taken).")

    async def test_a_connection_that_is_lost(self) -> None:
        async with served(StuckCall) as server, open_page(server.http("/")) as opened:
            await opened.page.click("#call")
            await opened.page.wait_for_timeout(1_000)
            cut_connections(server)
            await self.problem(opened, says="The connection to the server was lost.")

    async def test_a_server_that_is_gone(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            for listener in server.server.servers:
                listener.close()
            cut_connections(server)
            await opened.page.click("#call")
            await self.problem(opened, says="The server cannot be reached.")

    async def test_a_call_that_fails(self) -> None:
        async with served(FailingCall) as server, open_page(server.http("/")) as opened:
            await opened.page.click("#call")
            await self.problem(opened, says="Something failed on the server")

    async def test_a_server_that_shuts_down(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            await start_call(opened.page)
            await server.gateway.shut_down(0)
            await self.problem(opened, says="The server is shutting down")

    async def test_the_token_field_appears_where_one_is_needed(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            await expect(opened.page.locator("#status")).to_have_text("Ready to call")
            await expect(opened.page.locator("#token")).to_be_hidden()
        async with served(access_token="s3cret") as server, open_page(server.http("/")) as opened:
            await expect(opened.page.locator("#token")).to_be_visible()
            await opened.page.click("#call")
            await self.problem(opened, says="This server asks for an access token.")
            await opened.page.fill("#token", "s3cret")
            await start_call(opened.page)


def cut_connections(server: Served) -> None:
    for connection in tuple(server.server.server_state.connections):
        connection.transport.abort()


class TestLooks:
    @pytest.mark.parametrize("width", [360, 768, 1280])
    async def test_nothing_overflows_sideways(self, width: int) -> None:
        async with served() as server, open_page(server.http("/"), width=width) as opened:
            assert await overflow_px(opened.page) <= 0
            await start_call(opened.page)
            await expect(opened.page.locator(".line.agent")).to_be_visible()
            assert await overflow_px(opened.page) <= 0

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_text_stands_out_and_controls_have_names(self, scheme: str) -> None:
        async with served() as server, open_page(server.http("/"), scheme=scheme) as opened:  # type: ignore[arg-type]
            assert await opened.page.evaluate(CONTRAST) == []
            await start_call(opened.page)
            await expect(opened.page.locator(".line.agent .said")).not_to_have_count(0)
            assert await opened.page.evaluate(CONTRAST) == []
            assert await opened.page.evaluate(NAMELESS) == []

    async def test_a_whole_call_by_keyboard_alone(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            page = opened.page
            for _ in range(12):
                await page.keyboard.press("Tab")
                if await page.evaluate("document.activeElement.id") == "call":
                    break
            await page.keyboard.press("Enter")
            await expect(page.locator("body")).to_have_attribute("data-state", "active", timeout=15_000)
            await page.keyboard.press("Enter")  # the focus has moved to "Hang up"
            await expect(page.locator("#status")).to_have_text("Call ended")
            assert await server.idle()

    async def test_finished_lines_are_read_out(self) -> None:
        async with served() as server, open_page(server.http("/")) as opened:
            await start_call(opened.page)
            log = opened.page.locator("#announcer")
            await expect(log).to_have_attribute("aria-live", "polite")
            await expect(log).to_contain_text("Agent: Hello")

    async def test_the_api_page_describes_and_tries_the_api(self) -> None:
        async with served() as server, open_page(server.http("/docs")) as opened:
            page = opened.page
            section = page.locator(".operation", has_text="/api/calls")
            await expect(section).to_contain_text("Active and recent calls.")
            await section.get_by_role("button").click()
            await expect(section.locator("pre")).to_contain_text('"calls": []')
            assert opened.complaints == []


@pytest.mark.speech
async def test_a_whole_call_by_voice(server: RunningServer, speech: Say, tmp_path: Path) -> None:
    """Order, PIN, status, policy, interruption, human: all by voice, and what the page shows of it."""

    def say(text: str) -> bytes:
        return speech(text, rate_hz=MICROPHONE_RATE_HZ)

    parts = [
        *(7.0, say("Where is my order eight three one oh two?")),
        *(9.0, say("four two seven one")),
        *(14.0, say("What is your return policy?")),
        *(3.5, say("Stop. I want to talk to a person.")),
        60.0,
    ]
    microphone = write_microphone(tmp_path / "microphone.wav", parts)
    screenshots = Path(os.environ.get("CONSOLE_SCREENSHOTS") or tmp_path)
    async with open_page(f"{server.url}/", microphone=microphone) as opened:
        page = opened.page
        await start_call(page)
        heard = page.locator(".line.caller")
        agent = page.locator(".line.agent")
        await expect(heard.filter(has_text="83102")).to_have_count(1, timeout=25_000)
        await expect(agent.filter(has_text="PIN")).to_have_count(1)
        await expect(page.locator("#pad-hint")).to_contain_text("PIN")
        await expect(page.locator(".note.verified")).to_have_count(1, timeout=30_000)
        status = agent.filter(has_text="83102")
        await expect(status).to_contain_text("on its way")
        await expect(heard.filter(has_text=re.compile("return policy", re.IGNORECASE))).to_have_count(1, timeout=30_000)
        cut = page.locator(".line.agent.stopped")
        await expect(cut.first.locator(".said")).not_to_have_count(0, timeout=20_000)
        await expect(cut.first.locator(".unheard")).not_to_have_count(0)
        await expect(page.locator(".note.handover")).to_contain_text("Reference", timeout=20_000)
        await page.screenshot(path=screenshots / "console-call.png")
        await expect(page.locator("#status")).to_have_text("Call ended", timeout=40_000)

        assert not PIN_SPELLINGS.search(await page.inner_text("body"))
        turns = [re.findall(r"(\d+) ms", text) for text in await page.locator("#turns .turn").all_inner_texts()]
        assert len(turns) >= 4
        for total, *stages in turns:
            assert sum(map(int, stages)) == pytest.approx(int(total), abs=3)
        assert opened.complaints == []
        await page.set_viewport_size({"width": 360, "height": 740})
        assert await overflow_px(page) <= 0
        await page.screenshot(path=screenshots / "console-phone.png", full_page=True)
    assert json.loads(server.get("/ready"))["active_sessions"] == 0
