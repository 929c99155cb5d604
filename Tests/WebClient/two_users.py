#!/usr/bin/env python3
"""Drives the web client as two people side by side in one headless Chromium, and asserts what each sees.

    Tests/WebClient/two_users.py --url http://127.0.0.1:8080
    Tests/WebClient/two_users.py --serve .build/release/magpie

With --serve the script starts the server itself, in a directory it removes afterwards, and kills it with
`kill -9` in mid-sentence on the way. Exit code 0 when every step held, 1 when one did not, 2 on wrong usage.
Needs Debian's `chromium`; playwright is installed into .venv-web at the root of the repository when missing.
"""

import argparse
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-web"
PLAYWRIGHT = "playwright==1.65.2"
PASSWORD = "correct horse battery"
STONES = 220  # messages to page through


def require_playwright():
    """Runs this script again in a virtual environment that has playwright, making it when missing."""
    try:
        import playwright  # noqa: F401
        return
    except ImportError:
        pass
    python = VENV / "bin" / "python"
    if Path(sys.prefix).resolve() == VENV.resolve():
        if subprocess.call([python, "-m", "pip", "install", "--quiet", PLAYWRIGHT]) != 0:
            sys.exit(f"two_users.py: {PLAYWRIGHT} could not be installed into {VENV}")
    elif not python.exists():
        print(f"making {VENV.name} with {PLAYWRIGHT}", file=sys.stderr)
        if subprocess.call([sys.executable, "-m", "venv", str(VENV)]) != 0:
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit("two_users.py: no virtual environment; install it with: sudo apt-get install python3-venv")
    os.execv(python, [str(python), *sys.argv])


def chromium_path(given):
    found = given or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        sys.exit("two_users.py: Chromium is missing; install it with: sudo apt-get install chromium")
    return found


def picture(width=480, height=320):
    """A PNG of a blue evening, made here so that no file is needed."""
    def dot(x, y):
        sun = (x - width * 0.7) ** 2 + (y - height * 0.45) ** 2 < (height * 0.13) ** 2
        if sun:
            return bytes((255, 226, 150))
        if y > height * (0.72 + 0.06 * ((x * 7 // width) % 2)):
            return bytes((24, 44 + x * 20 // width, 66))
        return bytes((70 + y * 170 // height, 120 + y * 60 // height, 190 - y * 40 // height))
    rows = b"".join(b"\0" + b"".join(dot(x, y) for x in range(width)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


class Server:
    """A server of the script's own, for --serve."""

    def __init__(self, binary):
        self.binary = binary
        self.directory = tempfile.mkdtemp(prefix="magpie-web-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", "--data", f"{self.directory}/data", "--listen", f"127.0.0.1:{self.port}",
             "--rate-limits", "off"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            sys.exit("two_users.py: the server did not come up")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Person:
    """One tab with somebody in it. Every method waits for what it speaks of."""

    def __init__(self, page, name, shown):
        self.page, self.name, self.shown = page, name, shown
        page.set_default_timeout(20_000)

    def at(self, selector, **having):
        return self.page.locator(selector, **having)

    def sees(self, selector, text=None, **having):
        found = self.at(selector, **having)
        if text is not None:
            found = found.filter(has_text=text)
        found.first.wait_for(state="visible")
        return found.first

    def sees_exactly(self, selector, count):
        self.page.wait_for_function(
            "([s, n]) => document.querySelectorAll(s).length === n", arg=[selector, count])

    def sees_not(self, selector, text=None):
        found = self.at(selector)
        if text is not None:
            found = found.filter(has_text=text)
        found.first.wait_for(state="hidden")

    def sign_up(self, stay=False):
        self.sees("#auth-switch").click()
        self.page.fill("[name=username]", self.name)
        self.page.fill("[name=password]", PASSWORD)
        self.page.fill("[name=displayName]", self.shown)
        if stay:
            self.page.check("[name=stay]")
        self.page.click("#auth-submit")
        self.sees("#me-name", self.shown)

    def sign_in(self, password=PASSWORD):
        self.page.fill("[name=username]", self.name)
        self.page.fill("[name=password]", password)
        self.page.click("#auth-submit")

    def begin_with(self, other):
        self.page.click("#new-direct")
        self.page.fill("#dialog-body input", other.name)
        self.page.press("#dialog-body input", "Enter")
        self.sees("#open-title", other.shown)

    def open(self, title):
        self.sees("#list li", title).click()
        self.sees("#open-title", title)

    def write(self, text):
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def message(self, text):
        return self.sees(".msg", text)

    def tick(self, text, tick):
        self.sees(f".msg:has(.tick.{tick})", text)

    def look_for(self, text):
        self.page.keyboard.press("Control+k")
        self.page.fill("#query", text)

    def finds(self, count):
        """Waits for an answer to what stands in the box; how many hits are shown."""
        self.page.wait_for_function(
            "n => !document.getElementById('search-state').textContent.startsWith('Searching')"
            " && document.querySelectorAll('#hits:not([hidden]) li').length === n", arg=count)

    def has_in_sight(self, text):
        self.page.wait_for_function("""text => {
          const box = document.getElementById("entries").getBoundingClientRect();
          return [...document.querySelectorAll(".msg")].some((node) => {
            const { top, bottom } = node.getBoundingClientRect();
            return node.querySelector(".body")?.textContent === text && top >= box.top - 1 && bottom <= box.bottom + 1;
          });
        }""", arg=text)

    def scroll_to(self, edge):
        self.page.evaluate(
            "top => { const box = document.getElementById('entries'); box.scrollTop = top ? 0 : box.scrollHeight; }",
            edge == "top")

    def stones(self):
        return [int(text.split()[1]) for text in self.texts() if re.fullmatch(r"stone \d+", text)]

    def texts(self):
        return self.page.locator(".msg .body").all_text_contents()


class Story:
    """The steps in order, with what all pages asked for and complained of."""

    def __init__(self, browser, url, files=None, screenshots=None):
        self.browser, self.url, self.files, self.screenshots = browser, url.rstrip("/"), files, screenshots
        self.strangers, self.complaints, self.is_down = [], [], False
        self.context = self.new_context()

    def new_context(self, **options):
        context = self.browser.new_context(viewport={"width": 1000, "height": 760}, **options)
        context.on("request", self.check_request)
        if self.files:
            context.route(re.compile(re.escape(self.url) + r"/([\w.]*)(#.*)?$"), self.serve_file)
        return context

    def serve_file(self, route):
        name = urlsplit(route.request.url).path.lstrip("/") or "index.html"
        path = Path(self.files) / name
        if not path.is_file():
            return route.continue_()
        kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
        route.fulfill(body=path.read_bytes(), content_type=kinds[path.suffix] + "; charset=utf-8")

    def check_request(self, request):
        if not request.url.startswith((self.url + "/", "data:", f"blob:{self.url}/")):
            self.strangers.append(request.url)

    def tab(self, name, shown, context=None):
        page = (context or self.context).new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"{name}: {error}"))
        page.on("console", lambda message: self.heard(name, message))
        page.on("websocket", lambda ws: self.check_socket(ws.url))
        page.goto(self.url)
        return Person(page, name, shown)

    def check_socket(self, url):
        if not url.startswith(self.url.replace("http", "ws", 1) + "/"):
            self.strangers.append(url)

    def heard(self, name, message):
        refused = "the server responded with a status of 4" in message.text  # Chromium notes every 4xx
        if message.type in ("error", "warning") and not refused and not self.is_down:
            self.complaints.append(f"{name}: {message.text}")

    def shoot(self, person, name):
        if self.screenshots:
            person.page.screenshot(path=f"{self.screenshots}/{name}.png")

    @contextmanager
    def step(self, what):
        started = time.monotonic()
        print(f"  {what} … ", end="", flush=True)
        yield
        print(f"{time.monotonic() - started:.1f} s")


def tell(story, server):
    """The story itself. Raises at the first thing that is not as it should be."""
    mark = secrets.token_hex(3)
    ada, ben = story.tab(f"ada-{mark}", "Ada Lovell"), story.tab(f"ben-{mark}", "Ben Okri")

    with story.step("two people sign up in two tabs of one browser"):
        ada.sign_up()
        ben.sign_up()

    with story.step("a wrong password is refused in words, the right one is not"):
        again = story.tab(ben.name, ben.shown)
        again.sign_in("not the password")
        again.sees("#auth-error", "do not match")
        again.sign_in()
        again.sees("#me-name", ben.shown)
        again.page.close()

    with story.step("a conversation by user name; nobody of that name is said"):
        ada.page.click("#new-direct")
        ada.page.fill("#dialog-body input", f"nobody-{mark}")
        ada.page.press("#dialog-body input", "Enter")
        ada.sees("#dialog-error", "no user")
        ada.page.keyboard.press("Escape")
        ada.begin_with(ben)
        assert ada.page.evaluate("document.activeElement.id") == "text", "the composer should have the focus"

    with story.step("sent, delivered, read; unread is counted and cleared"):
        ada.write("Are you there?")
        ben.sees("#list li", "Are you there?")
        ben.sees("#list .count", "1")
        ada.tick("Are you there?", "delivered")
        ben.open(ada.shown)
        ada.tick("Are you there?", "read")
        ben.sees_not("#list .count")
        ben.write("Always. What is it?")
        ada.message("Always. What is it?")
        ben.tick("Always. What is it?", "read")

    with story.step("presence and typing"):
        ada.sees("#open-state", "online")
        ada.sees("#list .avatar[data-presence=ONLINE]")
        ben.page.type("#text", "hm")
        ada.sees("#open-state", "typing")
        ben.page.fill("#text", "")

    with story.step("markup stays text, long words and other scripts fit"):
        nasty = "<img src=x onerror=alert(1)><b>bold</b>"
        ada.write(nasty)
        assert ben.message(nasty).locator(".body").inner_html().startswith("&lt;img")
        ada.write("a" * 600)
        ada.write("שלום, מה שלומך? 🙂")
        ben.message("שלום")
        for who in (ada, ben):
            width = who.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert width <= 0, f"the page is {width} pixels too wide"

    with story.step("edit and erase"):
        ada.write("We meet at sevn.")
        ada.tick("We meet at sevn.", "read")
        ada.page.press("#text", "ArrowUp")
        ada.sees("#editing")
        ada.write("We meet at seven.")
        for who in (ada, ben):
            who.sees(".msg:has-text('edited')", "We meet at seven.")
        ben.write("Oops, wrong window")
        ben.message("Oops, wrong window").hover()
        ben.message("Oops, wrong window").get_by_role("button", name="Erase").click()
        ben.page.click("#dialog-ok")
        for who in (ada, ben):
            who.sees(".msg.erased")
            who.sees_not(".msg", "wrong window")

    with story.step("a picture is sent and shown"):
        ada.page.set_input_files("#file", {"name": "evening.png", "mimeType": "image/png", "buffer": picture()})
        ada.page.fill("#dialog-body input", "Look at this evening")
        ada.page.click("#dialog-ok")
        loaded = "() => [...document.querySelectorAll('.msg .picture img')].some(i => i.complete && i.naturalWidth === 480)"
        ada.page.wait_for_function(loaded)
        ben.page.wait_for_function(loaded)
        ben.page.click(".msg .picture")
        ben.sees("#viewer img")
        ben.page.keyboard.press("Escape")
        ada.tick("Look at this evening", "read")

    with story.step("a group"):
        ben.page.keyboard.press("Alt+g")
        ben.page.fill("#dialog-body label:first-child input", f"Sunday walk {mark}")
        ben.page.fill("#dialog-body label:last-child input", ada.name)
        ben.page.click("#dialog-ok")
        ben.sees("#open-title", "Sunday walk")
        ben.write("Who brings the map?")
        ada.open(f"Sunday walk {mark}")
        ada.message("Who brings the map?")
        ada.sees(".msg .who", ben.shown)
        ada.sees(".event", "added")
        ben.tick("Who brings the map?", "read")

    with story.step(f"{STONES} messages, paged up from the newest"):
        for number in range(STONES):
            ben.page.fill("#text", f"stone {number}")
            ben.page.press("#text", "Enter")
        ben.sees_exactly(".msg.pending", 0)
        ada.message(f"stone {STONES - 1}")
        ada.page.reload()
        ada.message(f"stone {STONES - 1}")
        for _ in range(12):
            if "stone 0" in ada.texts():
                break
            before = len(ada.texts())
            ada.page.evaluate("document.getElementById('entries').scrollTop = 0")
            ada.page.wait_for_function("n => document.querySelectorAll('.msg').length > n", arg=before)
        stones = [text for text in ada.texts() if text.startswith("stone ")]
        assert stones == [f"stone {n}" for n in range(STONES)], f"{len(stones)} stones, or out of order"

    with story.step("a reload keeps everything"):
        ada.open(ben.shown)
        ada.sees_exactly(".msg .picture img", 1)
        before = ada.texts()
        ada.page.reload()
        ada.sees("#open-title", ben.shown)
        ada.page.wait_for_function("n => document.querySelectorAll('.msg .body').length === n", arg=len(before))
        assert ada.texts() == before, "after a reload the conversation reads differently"

    with story.step("a search finds words everywhere, marks them, and takes filters"):
        ada.page.bring_to_front()  # a tab behind another one paints once a second
        ada.look_for("evening")
        ada.finds(1)
        hit = ada.sees("#hits li", "Look at this evening")
        assert hit.locator("mark").all_text_contents() == ["evening"], "the word should be marked"
        assert ada.at("#hits strong").all_text_contents() == [ben.shown]
        ada.page.click("[data-has=link]")
        ada.finds(0)
        ada.sees("#search-state", "Nothing found")
        ada.page.click("[data-has=link]")
        ada.page.click("[data-has=image]")
        ada.finds(1)
        ada.page.click("[data-has=image]")
        ada.page.fill("#query", "wrong window")
        ada.finds(0)
        ada.page.fill("#query", "bold")
        ada.finds(1)
        assert ada.at("#hits .snippet b").count() == 0, "markup should stay text"
        ada.page.fill("#query", "no such thing")
        ada.page.fill("#query", "brings map")  # what was typed last counts
        ada.finds(1)
        assert ada.at("#hits mark").all_text_contents() == ["brings", "map"]
        ada.page.click("[data-sort=relevance]")
        ada.finds(1)
        ada.page.click("[data-sort=newest]")

    with story.step("arrows and Enter choose a hit; more hits come at the end"):
        ada.page.fill("#query", "stone")
        ada.finds(20)
        ada.sees("#search-state", "+ messages")
        for _ in range(25):
            ada.page.press("#query", "ArrowDown")
            ada.page.wait_for_function("() => !document.getElementById('search-more').disabled")
        ada.page.wait_for_function("() => document.querySelectorAll('#hits li').length >= 40")
        assert ada.page.get_attribute("#query", "aria-activedescendant") == ada.page.get_attribute("#hits li.active", "id")
        ada.page.press("#query", "Enter")
        ada.sees("#open-title", "Sunday walk")
        ada.page.keyboard.press("Escape")
        ada.sees_not("#search")

    with story.step("from a hit to its place among its neighbours, and back to the newest"):
        ada.look_for("stone 30")
        ada.finds(1)
        ada.page.press("#query", "Enter")
        ada.has_in_sight("stone 30")
        assert ada.page.evaluate("document.activeElement.querySelector('.body').textContent") == "stone 30"
        assert STONES - 1 not in ada.stones(), "the newest should not be loaded beside it"
        ben.open(f"Sunday walk {mark}")
        ben.write("Are we there?")
        ada.sees("#list .count" if ada.at("#list").is_visible() else "#newest")
        assert "Are we there?" not in ada.texts(), "there is a hole before it"
        for edge in ("bottom", "top"):
            for _ in range(20):
                if ("Are we there?" in ada.texts()) if edge == "bottom" else (0 in ada.stones()):
                    break
                before = len(ada.texts())
                ada.scroll_to(edge)
                ada.page.wait_for_function("n => document.querySelectorAll('.msg .body').length > n", arg=before)
        assert ada.stones() == list(range(STONES)), "stones are missing, twice, or out of order"
        ada.page.keyboard.press("Escape")
        ada.open(ben.shown)
        ada.look_for("stone 107")
        ada.finds(1)
        ada.page.press("#query", "Enter")
        ada.has_in_sight("stone 107")
        ada.page.click("#newest")
        ada.has_in_sight("Are we there?")
        ben.tick("Are we there?", "read")

    with story.step("a search in one conversation"):
        ada.page.click("#search-here")
        ada.page.fill("#query", "evening")
        ada.finds(0)
        ada.page.click("#search-in")
        ada.finds(1)
        ada.page.click("#hits li")
        ada.has_in_sight("Look at this evening")
        ada.sees("#open-title", ben.shown)
        ada.page.keyboard.press("Escape")
        ada.sees("#list")

    if server:
        with story.step("kill -9 in mid-sentence: nothing lost, nothing twice"):
            ben.open(ada.shown)
            story.is_down = True
            ada.page.evaluate("""() => {
              for (let n = 0; n < 40; n++) {
                document.getElementById("text").value = `word ${n}`;
                document.getElementById("composer").requestSubmit();
              }
            }""")
            ben.message("word 3")  # some have arrived, some are on their way, some still wait
            server.kill()
            ada.sees("#banner", "No connection")
            confirmed = ada.at(".msg:has(.tick.sent), .msg:has(.tick.delivered), .msg:has(.tick.read)").count()
            ben.page.type("#text", "half a sen")
            ben.page.wait_for_function("() => !document.getElementById('banner').hidden")
            ada.write("into the dark")
            assert ada.at(".msg.pending").count() > 0
            server.start()
            ben.page.type("#text", "tence")
            ben.page.press("#text", "Enter")
            ada.sees_not("#banner")
            ben.sees_not("#banner")
            story.is_down = False
            ada.sees_exactly(".msg.pending", 0)
            ben.message("into the dark")
            ada.message("half a sentence")
            told = [f"word {n}" for n in range(40)] + ["into the dark"]
            for who in (ada, ben):
                seen = [text for text in who.texts() if text in told]
                assert seen == told, f"{who.name} sees {seen}"
            assert confirmed > 0

    with story.step("gone and back: what was missed comes at once"):
        ben.open(ada.shown)
        story.is_down = True
        away = story.context.new_cdp_session(ada.page)
        away.send("Network.emulateNetworkConditions", {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
        ada.page.evaluate("dispatchEvent(new Event('offline'))")
        ada.sees("#banner")
        ada.look_for("evening")
        ada.sees("#search-error", "no connection")
        ben.write("You missed this.")
        ada.write("Written without a net.")
        away.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
        ada.page.evaluate("dispatchEvent(new Event('online'))")
        ada.message("You missed this.")
        ben.message("Written without a net.")
        ada.tick("Written without a net.", "read")
        ada.finds(1)  # asked again by itself
        ada.page.keyboard.press("Escape")
        story.is_down = False

    with story.step("on a phone: one column, a way back, nothing too wide"):
        ben.page.bring_to_front()
        ben.page.set_viewport_size({"width": 390, "height": 844})
        ben.sees_not("#side")
        ben.page.click("#back")
        ben.sees("#list li", ada.shown)
        ben.sees_not("#pane")
        ben.open(ada.shown)
        ben.message("Written without a net.")
        assert ben.page.evaluate("document.documentElement.scrollWidth") == 390, "the page is too wide"
        ben.page.click("#search-here")
        ben.sees_not("#pane")
        ben.page.fill("#query", "evening")
        ben.finds(1)
        assert ben.page.evaluate("document.documentElement.scrollWidth") == 390, "the search is too wide"
        ben.page.click("#hits li")
        ben.has_in_sight("Look at this evening")
        ben.page.click("#back")
        ben.sees("#hits li", "Look at this evening")
        ben.page.click("#search-close")
        ben.open(ada.shown)
        ben.page.set_viewport_size({"width": 1000, "height": 760})

    with story.step("signing out ends the session, and the other one's goes on"):
        ben.page.click("#sign-out")
        ben.page.click("#dialog-ok")
        ben.sees("#auth")
        ben.page.reload()
        ben.sees("#auth")
        ada.write("Good night.")
        ada.tick("Good night.", "sent")
        ben.sign_in()
        ben.sees("#list .count", "1")

    with story.step("no outside requests, no errors in the console"):
        assert not story.strangers, story.strangers
        assert not story.complaints, story.complaints
    return ada, ben


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="a server that runs (with --rate-limits off)")
    where.add_argument("--serve", metavar="BINARY", help="start this magpie for the test, and kill it on the way")
    parser.add_argument("--screenshot", metavar="DIR", help="where to keep pictures of the last state")
    parser.add_argument("--files", metavar="DIR", help="take the client's files from here, not from the server")
    parser.add_argument("--chromium", help="the browser, if not the chromium of the path")
    arguments = parser.parse_args()
    browser_path = chromium_path(arguments.chromium)
    require_playwright()
    from playwright.sync_api import Error, sync_playwright

    if arguments.screenshot:
        Path(arguments.screenshot).mkdir(parents=True, exist_ok=True)
    server = Server(arguments.serve) if arguments.serve else None
    url = server.url if server else arguments.url
    try:
        urllib.request.urlopen(url.rstrip("/") + "/healthz", timeout=10).read()
        with sync_playwright() as playwright:
            options = ["--no-sandbox"]
            if arguments.files:  # files that come from here seem to come from nowhere, which may not open sockets
                options.append("--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests")
            browser = playwright.chromium.launch(executable_path=browser_path, args=options)
            story = Story(browser, url, arguments.files, arguments.screenshot)
            try:
                ada, ben = tell(story, server)
                for person in (ada, ben):
                    story.shoot(person, person.name.split("-")[0])
            except (AssertionError, Error) as problem:
                print(f"\nFAILED: {problem}", file=sys.stderr)
                for index, page in enumerate(story.context.pages):
                    if arguments.screenshot:
                        page.screenshot(path=f"{arguments.screenshot}/failed-{index}.png")
                for line in story.complaints + story.strangers:
                    print(f"  {line}", file=sys.stderr)
                return 1
            finally:
                browser.close()
    except OSError as problem:
        print(f"two_users.py: {url}: {problem}", file=sys.stderr)
        return 1
    finally:
        if server:
            server.remove()
    print("two users: all steps held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
