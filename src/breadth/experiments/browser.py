"""A headless Chromium driven over its debugging pipe: no port, no driver program, no extra package.

It prints a page as PDF and takes its figures out, as the page's own script draws them.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from breadth.ledger.rows import write_atomic

PATIENCE = 120  # seconds of silence after which a browser is given up
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


class BrowserError(RuntimeError):
    """The browser is not there, went away, or said that something cannot be done."""


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome: ``BREADTH_BROWSER``, else one on the search path, or None."""
    named = os.environ.get("BREADTH_BROWSER")
    found = [named] if named else [*map(shutil.which, NAMES), *PLACES]
    return next((path for path in found if path and os.access(path, os.X_OK)), None)


def browser_there(purpose: str) -> str:
    """Return the path of the browser that would be used.

    Raises
    ------
    BrowserError
        Where the machine has none; says what it was for and what to do.
    """
    binary = find_chromium()
    if binary is None or sys.platform == "win32":
        named = os.environ.get("BREADTH_BROWSER")
        why = (
            f"BREADTH_BROWSER names {named}, which cannot be run"
            if named
            else "this machine has none on its search path"
        )
        why = "on Windows breadth drives no browser" if binary else why
        raise BrowserError(
            f"{purpose}: expected a Chromium or Chrome, {why}. Install one (Debian: apt-get install chromium), or name it in "
            "BREADTH_BROWSER; or open the HTML page in any browser, print it there, and save its figures with their buttons"
        )
    return binary


@contextmanager
def browser(purpose: str) -> Iterator[Chrome]:
    """Give a browser for a while.

    Raises
    ------
    BrowserError
        Where the machine has none; says what it was for and what to do.
    """
    binary = browser_there(purpose)
    with tempfile.TemporaryDirectory(prefix="breadth-browser-", ignore_cleanup_errors=True) as profile:
        chrome = Chrome(binary, Path(profile))
        try:
            yield chrome
        finally:
            chrome.close()


def print_pdf(page: Path, out: Path) -> Path:
    """Print a page on A4 sheets, light colours, page numbers at the foot, and return the file's path.

    Raises
    ------
    BrowserError
        As :func:`browser`.
    """
    with browser("a report as PDF") as chrome:
        chrome.open(page)
        foot = '<div style="font-size:8px;width:100%;text-align:center"><span class="pageNumber"></span> / <span class="totalPages"></span></div>'
        sheet = {
            "paperWidth": 8.27,
            "paperHeight": 11.69,
            "marginTop": 0.5,
            "marginBottom": 0.6,
            "marginLeft": 0.5,
            "marginRight": 0.5,
        }
        answer = chrome.send(
            "Page.printToPDF",
            printBackground=True,
            displayHeaderFooter=True,
            headerTemplate="<span></span>",
            footerTemplate=foot,
            **sheet,
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, base64.b64decode(answer["data"]))
    return out


def save_figures(page: Path, folder: Path) -> list[Path]:
    """Write every figure of a page as ``<name>.svg``, ``.png`` (twice the size) and ``.csv`` (its data); return the paths.

    Raises
    ------
    BrowserError
        As :func:`browser`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with browser("the figures of a report as files") as chrome:
        chrome.open(page)
        for name in chrome.run("breadthFigures()"):
            made = chrome.run(f"breadthFigure({json.dumps(name)})")
            files = {"svg": made["svg"].encode(), "png": base64.b64decode(made["png"]), "csv": made["csv"].encode()}
            for ending, data in files.items():
                write_atomic(folder / f"{name}.{ending}", data)
                written.append(folder / f"{name}.{ending}")
    return written


class Chrome:
    """One browser with one page. ``errors`` and ``requests`` collect what the page complained of and asked for."""

    def __init__(self, binary: str, profile: Path) -> None:
        import fcntl  # not there on Windows

        # Chromium reads commands from descriptor 3 and writes answers to 4; ours are moved out of the way first
        read_commands, self._write = os.pipe()
        self._read, write_answers = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (read_commands, write_answers)]

        def place() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(
            [binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=place,
            pass_fds=(3, 4),
        )
        for fd in (read_commands, write_answers, *ends):
            os.close(fd)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Page.setLifecycleEventsEnabled", enabled=True)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result; events that arrive meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"the browser refused {method}: {answer['error'].get('message')}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            if not ready:
                raise BrowserError(f"the browser said nothing for {PATIENCE} seconds")
            part = os.read(self._read, 1 << 16)
            if not part:
                raise BrowserError("the browser went away")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, *, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Load a file at a window size and wait until it is loaded."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        loader = self.send("Page.navigate", url=path.resolve().as_uri()).get("loaderId")
        while not any(
            _is_loaded(event, loader) for event in self.events
        ):  # a late word of the page before does not count
            self.events.append(self._receive())
        # a page of ours says when its data are unpacked and its script is through
        self.run(
            "new Promise(done => { const look = () => document.documentElement.dataset.ready || !document.getElementById('themes')"
            " ? done() : setTimeout(look, 20); look(); })"
        )
        # two frames: observers have told the figures their widths, and those are drawn
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page, waiting for a promise."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"the page's script failed: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    @property
    def errors(self) -> list[str]:
        """What the page complained of: exceptions, console errors, violations of its policy."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"]["text"])
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
                found.append(str(params["args"]))
            elif method == "Page.javascriptDialogOpening":
                found.append(f"dialog: {params['message']}")
        return found

    @property
    def requests(self) -> list[str]:
        """The addresses that the page asked for, without what it holds itself."""
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith(("data:", "blob:"))]

    def screenshot(self, out: Path, *, clip: dict[str, float] | None = None) -> Path:
        """Write a PNG of the window, or of a part of the page (``clip``: x, y, width, height), and return its path."""
        part = {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True} if clip else {}
        answer = self.send("Page.captureScreenshot", format="png", **part)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(base64.b64decode(answer["data"]))
        return out

    def close(self) -> None:
        """End the browser."""
        os.close(self._write)
        os.close(self._read)
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _is_loaded(event: dict[str, Any], loader: str | None) -> bool:
    about = event.get("params", {})
    return (
        event.get("method") == "Page.lifecycleEvent" and about.get("name") == "load" and about.get("loaderId") == loader
    )
