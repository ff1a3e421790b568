"""Takes the picture of a quick room for the README, with a headless Chromium and a node of its own.

    screenshots.py STARLING PICTURE.png

Speaks Chromium's debugging protocol over a pipe, so it needs nothing but Python's standard library.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

PROGRAMS = ["chromium", "chromium-browser", "google-chrome", "chrome"]
WIDTH, HEIGHT = 1060, 640
DEADLINE_SECONDS = 120
SAID = [
    ("Ann", "Shall we meet for tea on Thursday?"),
    ("Ben", "Thursday is fine with me. At four?"),
    ("Chiara", "I can make it at half past four."),
    ("Ann", "Half past four it is. The place is here: https://tea.example/garden"),
    ("Ben", "Looks lovely. I'll bring the biscuits."),
    ("Chiara", "And I'll bring my sister, she is in town this week."),
    ("Ann", "Even better!"),
]
deadline = time.monotonic() + DEADLINE_SECONDS


class Browser:
    """A headless Chromium that ends with this program."""

    def __init__(self, home):
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        if program is None:
            sys.exit("screenshots: install Chromium, for example with 'apt install chromium'")
        (ours_in, self.commands), (self.answers, ours_out) = os.pipe(), os.pipe()
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --remote-debugging-pipe"

        def connect():
            # Chromium reads from 3 and writes to 4; neither may be overwritten before it is copied.
            reading, writing = os.dup(ours_in), os.dup(ours_out)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            [program, *flags.split(), f"--user-data-dir={home}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=connect,
        )
        self.calls, self.rest = 0, b""

    def call(self, method, session=None, **params):
        self.calls += 1
        call = {"id": self.calls, "method": method, "params": params}
        if session:
            call["sessionId"] = session
        os.write(self.commands, json.dumps(call).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                self.rest += os.read(self.answers, 65536) or sys.exit("screenshots: Chromium has ended")
            line, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.calls:
                if "error" in answer:
                    sys.exit(f"screenshots: {method}: {answer['error']}")
                return answer["result"]

    def open(self, url):
        """Opens a window of somebody else: nothing is shared with other windows."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        window = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable", window)
        self.call("Emulation.setDeviceMetricsOverride", window, width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", window, url=url)
        return window

    def value(self, window, expression):
        return self.call("Runtime.evaluate", window, expression=expression, returnByValue=True)["result"].get("value")

    def until(self, window, expression):
        while self.value(window, f"(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()") is not True:
            if time.monotonic() > deadline:
                sys.exit(f"screenshots: not in time: {expression}")
            time.sleep(0.05)

    def write(self, window, text):
        self.call("Input.insertText", window, text=text)
        for kind in ["keyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", window, type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)


def main(starling, picture):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "http://127.0.0.1:%d" % free.getsockname()[1]
    home = tempfile.mkdtemp(prefix="starling-picture-")
    node = subprocess.Popen(
        [starling, "serve", "--listen", address.removeprefix("http://"), "--data-dir", f"{home}/data"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    browser = None
    try:
        while not ready(address):
            if time.monotonic() > deadline or node.poll() is not None:
                sys.exit("screenshots: the node does not become ready")
            time.sleep(0.05)
        request = urllib.request.Request(
            f"{address}/create-room", json.dumps({"name": "Tea on Thursday"}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            room = json.load(answer)["roomID"]
        browser = Browser(f"{home}/browser")
        windows = {}
        for name in dict(SAID):
            windows[name] = browser.open(f"{address}/r/{room}")
            browser.until(windows[name], "!document.querySelector('#gate').hidden && document.activeElement.id === 'name'")
            browser.write(windows[name], name)
            browser.until(windows[name], "document.body.dataset.connection === 'live' && document.body.dataset.view === 'chat'")
        for number, (name, text) in enumerate(SAID, 1):
            browser.value(windows[name], "document.querySelector('#body').focus()")
            browser.write(windows[name], text)
            for window in windows.values():
                browser.until(window, f"document.querySelectorAll('.message .body').length === {number}")
        shown = windows["Ann"]
        browser.until(shown, "!document.querySelector('[data-state=sending]')")
        browser.value(shown, "document.activeElement.blur()")
        taken = browser.call("Page.captureScreenshot", shown, format="png")
        with open(picture, "wb") as file:
            file.write(base64.b64decode(taken["data"]))
    finally:
        for process in [browser and browser.process, node]:
            if process:
                process.terminate()
                process.wait()
        shutil.rmtree(home, ignore_errors=True)


def ready(address):
    try:
        with urllib.request.urlopen(f"{address}/readyz") as answer:
            return answer.status == 200
    except OSError:
        return False


main(*sys.argv[1:])
