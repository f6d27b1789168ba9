"""A headless Chromium, driven over its DevTools protocol: one tab, commands one after another."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PATIENCE = 60  # seconds, for what must happen; nothing is measured


def program():
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Gone(Exception):
    """The page was left while it was asked."""


class Browser:
    def __init__(self):
        import websocket  # python3-websocket
        self.folder = tempfile.mkdtemp()
        # Without its sandbox, which not every machine lets it make: all it sees is our own page.
        arguments = [program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0",
                     "--remote-allow-origins=*", "--user-data-dir=" + self.folder, "about:blank"]
        # The program may be a script around the browser: the group of both is what ends.
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True)
        self.socket = websocket.create_connection(self.find_tab(), timeout=PATIENCE)
        self.count, self.events = 0, []
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self.do(domain + ".enable")

    def find_tab(self):
        for line in self.process.stderr:
            found = re.search(r"ws://(127\.0\.0\.1:\d+)/", line)
            if found:
                with urllib.request.urlopen("http://%s/json" % found.group(1)) as reply:
                    return next(tab for tab in json.load(reply) if tab["type"] == "page")["webSocketDebuggerUrl"]
        os.killpg(self.process.pid, signal.SIGKILL)
        raise AssertionError("the browser did not start")

    def do(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.count:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise Gone
                assert "error" not in message, "%s: %s" % (method, message["error"])
                return message["result"]
            self.events.append(message)

    def value(self, expression):
        result = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, "%s: %s" % (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def until(self, expression):
        """Waits until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.holds(expression):
            assert time.monotonic() < end, "waited in vain for %s on:\n%s" % (expression, self.value("document.body.innerText"))
            time.sleep(0.05)

    def holds(self, expression):
        try:
            return self.value("!!(%s)" % expression)
        except Gone:
            return False

    def text(self, selector="main"):
        return self.value("document.querySelector(%s).innerText" % json.dumps(selector))

    def shows(self, text, selector="main"):
        self.until("document.querySelector(%s)?.innerText.includes(%s)" % (json.dumps(selector), json.dumps(text)))

    def open(self, address):
        self.do("Page.navigate", url=address)

    def reload(self):
        self.value("window.isOld = true")
        self.do("Page.reload")
        self.until("!window.isOld && document.readyState === 'complete'")

    def go(self, hash_):
        self.value("location.hash = %s" % json.dumps(hash_))

    def click(self, selector):
        self.value("document.querySelector(%s).click()" % json.dumps(selector))

    def press(self, key, code):
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def choose_file(self, selector, path):
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        node = self.do("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.do("DOM.setFileInputFiles", files=[path], nodeId=node)

    def window(self, width, height, dark=False):
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def complaints(self):
        """What the console said, and scripts that failed."""
        self.value("0")
        said = [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"]
        thrown = [json.dumps(e["params"]) for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        self.events = []
        return said + thrown

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.socket.close()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)
