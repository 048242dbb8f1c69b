"""A real headless Chromium whose microphone plays a recording."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.async_api import Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
MICROPHONE_RATE_HZ = 48_000

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


@dataclass
class OpenPage:
    """``complaints`` is what the page wrote to the browser's console as a warning or an error."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@asynccontextmanager
async def open_page(
    url: str,
    *,
    microphone: Path | None = None,
    allowed: bool = True,
    width: int = 1280,
    height: int = 800,
    scheme: Literal["light", "dark"] = "light",
) -> AsyncIterator[OpenPage]:
    """The page at ``url``. ``microphone`` is a WAV file, played once from the moment the page gets the microphone (without
    one, Chromium's own beeps); ``allowed`` says what a person answers when the browser asks for the microphone."""
    flags = list(_FLAGS)
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    if allowed:
        flags.append("--use-fake-ui-for-media-stream")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=flags, ignore_default_args=["--headless", "--mute-audio"]
        )
        try:
            context = await browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                permissions=["microphone"] if allowed else [],
            )
            context.set_default_timeout(15_000)
            page = await context.new_page()
            opened = OpenPage(page)
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    opened.complaints.append(message.text) if message.type in ("warning", "error") else None
                ),
            )
            await page.goto(url)
            yield opened
        finally:
            await browser.close()


def write_microphone(path: Path, parts: Sequence[bytes | float]) -> Path:
    """A recording of speech (PCM at ``MICROPHONE_RATE_HZ``) and silences (seconds), one after the other."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MICROPHONE_RATE_HZ)
        for part in parts:
            file.writeframes(part if isinstance(part, bytes) else bytes(2 * int(part * MICROPHONE_RATE_HZ)))
    return path
