"""A page in an installed Chromium, over the DevTools protocol: what it loads, says and draws.

=> choreographer (by plotly's makers) starts the browser and carries the messages; every wait is bounded.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ANSWER_S = 60.0


def installed() -> str | None:
    """The path of a Chromium, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Tab:
    """A page that is open.

    => `requests`: all that it asked for. `complaints`: errors and warnings, from scripts and from the browser.
    """

    session: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def send(self, method: str, **params: Any) -> Any:
        """Send a command and return its result."""
        answer = await asyncio.wait_for(self.session.send_command(method, params or None), ANSWER_S)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    async def run(self, script: str) -> Any:
        """Evaluate an expression, wait for it if it is a promise, and return its value."""
        answer = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str, code: int) -> None:
        """Press a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text
            )

    async def show(self, *, width: int = 1280, scheme: str = "light") -> None:
        """Set the width of the window and the colour scheme that the reader prefers."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.send("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.send("Emulation.setEmulatedMedia", features=features)
        # Scripts hear of it with the next frame.
        await self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    async def open(self, url: str) -> None:
        """Load a page, scripts and all."""
        loaded = self.session.subscribe_once("Page.loadEventFired")
        await self.send("Page.navigate", url=url)
        await asyncio.wait_for(loaded, ANSWER_S)


@asynccontextmanager
async def tab() -> AsyncIterator[Tab]:
    """Start a browser and open a tab in it, whose requests and complaints are noted."""
    from choreographer import Browser

    async with Browser(path=installed(), headless=True, enable_sandbox=False) as browser:
        session = await asyncio.wait_for(browser.create_tab(""), ANSWER_S)
        opened = Tab(session)

        async def requested(message: dict[str, Any]) -> None:
            opened.requests.append(message["params"]["request"]["url"])

        async def complained(message: dict[str, Any]) -> None:
            params = message["params"]
            if params.get("type", params.get("entry", {}).get("level", "error")) in ("error", "warning", "assert"):
                opened.complaints.append(str(params))

        session.subscribe("Network.requestWillBeSent", requested)
        for event in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            session.subscribe(event, complained)
        for domain in ("Page", "Runtime", "Network", "Log"):
            await opened.send(f"{domain}.enable")
        yield opened
