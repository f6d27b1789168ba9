"""The page in a browser: page_test.py ENGRAM [TEST...]. Each function test_... gets a browser and a fresh server.

Ends with 77, which ctest counts as skipped, when there is no Chromium or no python3-websocket here."""
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import PATIENCE, Browser, program  # noqa: E402

ENGRAM = os.path.abspath(sys.argv[1])
LINES = "".join("line %d of a text that is long enough to be cut into pieces\n" % i for i in range(400))


class Server:
    def __init__(self, folder, *arguments):
        self.folder, self.engram = folder, os.path.join(folder, "e")
        if not os.path.exists(self.engram):
            self.run("init")
        self.process = subprocess.Popen([ENGRAM, "serve", "-e", self.engram, "--listen", "127.0.0.1:0", *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.startswith("ready "):
                self.address = line.split()[1]
                return
        raise AssertionError("the server did not start")

    def run(self, command, *arguments):
        subprocess.run([ENGRAM, command, "-q", "-e", self.engram, *arguments], check=True)

    def ask(self, method, target, body=None, token=None):
        request = urllib.request.Request(self.address + target, method=method, data=body)
        if token:
            request.add_header("Authorization", "Bearer " + token)
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.read()

    def put(self, path, text, token=None):
        self.ask("PUT", "/v1/files/" + path, text.encode(), token)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait() == 0, "the server did not end with 0"
        self.process.stdout.close()


def fill(server):
    server.put("docs/plan.txt", LINES)
    server.ask("POST", "/v1/snapshots/monday")
    server.put("docs/plan.txt", LINES.replace("line 7 ", "LINE 7 "))
    server.put("docs/other.txt", "something else\n" * 300)
    server.put("notes.txt", "short\n")


def test_files(browser, server):
    fill(server)
    browser.open(server.address)
    browser.shows("docs/")
    browser.shows("notes.txt")
    browser.shows("3 files", "#state")
    browser.value("[...document.querySelectorAll('td.name a')].find(a => a.textContent === 'docs/').click()")
    browser.shows("plan.txt")
    assert "notes.txt" not in browser.text()
    browser.value("[...document.querySelectorAll('td.name a')].find(a => a.textContent === 'plan.txt').click()")
    browser.until("document.querySelector('pre')?.textContent.includes('LINE 7 ')")
    browser.until("document.querySelectorAll('section:last-of-type tbody tr').length === 2")
    assert "24,290 bytes" in browser.text(), browser.text()
    browser.value("document.querySelector('select').value = [...document.querySelectorAll('option')].find(o => o.text.includes('monday')).value")
    browser.value("document.querySelector('select').dispatchEvent(new Event('change'))")
    browser.until("document.querySelector('pre')?.textContent.includes('line 7 ')")
    assert "at=" in browser.value("location.hash")
    browser.value("[...document.querySelectorAll('.crumbs a')].at(-1).click()")
    browser.until("document.querySelectorAll('td.name').length === 1")  # the other one is not in that version
    browser.go("#/files/none")
    browser.shows("no such path")
    assert all("404" in text for text in browser.complaints())


def test_many_files(browser, server):
    folder = os.path.join(server.folder, "many")
    server.stop()
    os.mkdir(folder)
    for i in range(720):
        open(os.path.join(folder, "file-%04d" % i), "w").close()
    server.run("encode", "-C", server.folder, "many")
    server.__init__(server.folder)
    browser.open(server.address + "/#/files/many")
    browser.until("document.querySelectorAll('td.name').length === 500")
    browser.click(".actions button")
    browser.until("document.querySelectorAll('td.name').length === 720")
    assert browser.value("document.querySelector('.actions button').hidden")


def test_names(browser, server):
    """Stored names are text, whatever they are."""
    names = ["<img src=x onerror=document.title='taken'>", "a&amp;b %41 #1?x=y", "ümlaut \u2603", "javascript:alert(1)"]
    for name in names:
        server.put("odd/" + urllib.request.quote(name), "of " + name)
    server.put("odd/not%20utf-8%20%FF", "raw bytes")
    browser.open(server.address + "/#/files/odd")
    browser.until("document.querySelectorAll('td.name').length === 5")
    shown = browser.value("[...document.querySelectorAll('td.name a')].map(a => a.textContent)")
    assert set(names) < set(shown), shown
    for name in names + ["not utf-8 \ufffd"]:
        browser.go("#/files/odd")
        browser.until("document.querySelectorAll('td.name').length === 5")
        browser.value("[...document.querySelectorAll('td.name a')].find(a => a.textContent === %s).click()" % json.dumps(name))
        browser.until("document.querySelector('pre')?.textContent === %s" % json.dumps("raw bytes" if "\ufffd" in name else "of " + name))
        assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.complaints() == []


def test_similar(browser, server):
    fill(server)
    query = os.path.join(server.folder, "query.txt")
    with open(query, "w") as out:
        out.write("q" * 1000 + LINES[5000:15000])
    browser.open(server.address + "/#/similar")
    browser.until("document.querySelector('#query-file')")
    browser.choose_file("#query-file", query)
    browser.until("document.querySelector('.hit')")
    assert "docs/plan.txt" in browser.text(".hit"), browser.text(".hit")
    browser.click(".hit summary")
    browser.shows("1,000\u201311,000", ".hit")  # where the run is in the query
    browser.shows("5,000\u201315,000", ".hit")  # and in the file
    rect = browser.value("(r => [r.getAttribute('x'), r.getAttribute('width')].map(Number))(document.querySelector('.tracks svg rect'))")
    assert abs(rect[0] - 1000 / 11) < 0.1 and abs(rect[1] - 10000 / 11) < 0.1, rect
    browser.go("#/files/docs/plan.txt")
    browser.until("document.querySelector('.actions a[href^=\"#/similar\"]')")
    browser.value("document.querySelector('.actions a[href^=\"#/similar\"]').click()")
    browser.until("document.querySelector('#results h1')?.textContent === 'docs/plan.txt'")
    assert browser.complaints() == []


def test_live(browser, server):
    fill(server)
    browser.open(server.address + "/#/live")
    browser.until("document.querySelectorAll('.chart').length === 4")
    browser.until("document.querySelector('.figure').textContent.endsWith('/s')")
    sums = browser.value("""readMetrics('# HELP a b\\na{route="/v1/files/{path}"} 3\\na{route="/"} 4\\nb 0.5\\n')""")
    assert sums == {"a": 7, "b": 0.5}, sums
    for i in range(3):
        server.put("fresh/file-%d.txt" % i, "new")
    browser.shows("fresh/file-2.txt")
    server.ask("DELETE", "/v1/files/fresh/file-0.txt")
    browser.shows("removed")
    browser.until("document.querySelector('path.line').getAttribute('d').split('L').length > 2")
    browser.go("#/files/")  # and the stream ends
    browser.shows("fresh/")
    assert browser.complaints() == []


def test_token(browser, server):
    tokens = os.path.join(server.folder, "tokens")
    with open(tokens, "w") as out:
        out.write("0123456789abcdef-right\n")
    server.stop()
    server.__init__(server.folder, "--token-file", tokens)
    server.put("secret.txt", "inside", "0123456789abcdef-right")
    browser.open(server.address)
    for token in ("0123456789abcdef-wrong", "0123456789abcdef-right"):
        browser.until("document.querySelector('dialog')?.open")
        assert "secret" not in browser.text("body")
        browser.value("document.querySelector('#token').value = %s" % json.dumps(token))
        browser.click("dialog button")
    browser.shows("secret.txt")
    browser.shows("1 files", "#state")
    assert browser.value("Object.values(sessionStorage).join() + '|' + localStorage.length + document.cookie") == "0123456789abcdef-right|0"
    browser.reload()
    browser.shows("secret.txt")
    browser.click("#forget")
    browser.until("document.querySelector('dialog')?.open")
    assert all("401" in text for text in browser.complaints())


def test_policy(browser, server):
    """Nothing runs on the page but its own script, and nothing is fetched from elsewhere."""
    server.put("notes.txt", "short")
    browser.open(server.address)
    browser.shows("notes.txt")
    assert browser.complaints() == []
    browser.value("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.taken = 1'}))")
    assert browser.value("window.taken") is None
    browser.value("document.body.insertAdjacentHTML('beforeend', '<p id=p style=\"color: red\" onclick=\"window.taken = 1\">x</p>')")
    browser.click("#p")
    assert browser.value("window.taken") is None
    assert browser.value("fetch('http://localhost:1/').then(() => 'came', e => e.name)") == "TypeError"
    said = " ".join(browser.complaints())
    assert "script-src" in said and "style-src" in said and "connect-src" in said, said


def test_sizes(browser, server):
    """On a phone nothing is cut off, and the dark is dark."""
    fill(server)
    grounds = []
    for width, dark in ((1200, False), (360, True)):
        browser.window(width, 740, dark)
        browser.open(server.address)
        for hash_ in ("#/files/docs", "#/files/docs/plan.txt", "#/similar/docs/other.txt", "#/live"):
            browser.go(hash_)
            browser.until("document.querySelector('td, .hit, .figure, #results h1')")
            wide = browser.value("document.documentElement.scrollWidth")
            assert wide <= width, "%s is %d wide on %d" % (hash_, wide, width)
        grounds.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1], grounds


def test_keyboard(browser, server):
    fill(server)
    browser.open(server.address)
    browser.shows("notes.txt")
    reached = []
    for _ in range(8):
        browser.press("Tab", 9)
        reached.append(browser.value("(e => e.textContent.trim() || e.tagName)(document.activeElement)"))
        if reached[-1] == "docs/":
            break
    assert reached[:4] == ["To the content", "Files", "Similar", "Live"] and reached[-1] == "docs/", reached
    browser.press("Enter", 13)
    browser.shows("plan.txt")
    browser.go("#/similar")
    browser.until("document.querySelector('#query-file')")
    for _ in range(6):
        browser.press("Tab", 9)
        if browser.value("document.activeElement.id") == "query-file":
            return
    raise AssertionError("the choice of a file cannot be reached")


def run(name):
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        server, browser = Server(folder), None
        try:
            browser = Browser()
            globals()[name](browser, server)
        finally:
            if browser:
                browser.close()
            server.stop()
    print("ok %-20s %5.1f s" % (name[5:], time.monotonic() - start), flush=True)


def main():
    if not program() or not importlib.util.find_spec("websocket"):
        print("skipped: the page is tested with the packages chromium-headless-shell and python3-websocket")
        return 77
    names = sys.argv[2:] or [name[5:] for name in globals() if name.startswith("test_")]
    for name in names:
        run("test_" + name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
