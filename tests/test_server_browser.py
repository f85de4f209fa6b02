"""The pages in a real browser: with and without JavaScript, by keyboard, for screen readers, on a phone, attacked."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from conftest import ToyEmbedder
from test_server_access import shelved
from test_server_pages import PAYLOADS, answering
from test_server_toys import TREATY, listening

from index.article import make_article
from index.library import Library
from qa.answer import Answer, NoAnswer, Question
from server.app import create_app
from server.keys import Right

CHROMIUM = Path("/usr/bin/chromium")
HOW = "needs Chromium at /usr/bin/chromium, and: pip install playwright axe-playwright-python"

sync_api = pytest.importorskip("playwright.sync_api", reason=HOW)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=HOW)
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=HOW)

OFFLINE = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
"""Without these, Chromium looks for its makers' hosts."""

BEST = (0.72, (("treaty-1648", "in 1648"), ("later", "in 1648")))
OTHERS = ((0.2, (("treaty-1648", "Nobody"), ("later", "As said"))), (0.1, (("later", "it"),)))
ASKED = {
    "When was it signed?": answering(BEST),
    "When was peace?": answering(BEST, OTHERS, unread=1),
    "Who won?": answering(None, OTHERS, reason=NoAnswer.BELOW_THRESHOLD),
    "Who lost?": answering(None, reason=NoAnswer.NOTHING_ANSWERS),
    "Who was there?": answering(None, reason=NoAnswer.NOTHING_RETRIEVED, nothing=True),
}
STATES = {
    "front": "/",
    "answer": "/?q=When+was+it+signed%3F",
    "several answers": "/?q=When+was+peace%3F",
    "not sure": "/?q=Who+won%3F",
    "no answer": "/?q=Who+lost%3F",
    "nothing found": "/?q=Who+was+there%3F",
    "filtered": "/?q=Who+lost%3F&source=Almanac&since=1998-01-01&until=1999-01-01",
    "error of a question": "/?q=Who%3F&since=yesterday",
    "fault of ours": "/?q=What%3F",
    "sign in": "/key?next=/articles",
    "list": "/articles",
    "passages": "/articles?q=signed",
    "article": "/articles/treaty-1648?start=14&end=21&q=When+was+it+signed%3F#quote",
    "long article": "/articles/log?part=2",
    "add": "/add",
    "remove": "/remove?id=later",
    "not there": "/articles/none",
}


def hostile() -> Iterator[dict[str, Any]]:
    for number, payload in enumerate(PAYLOADS):
        given = dict.fromkeys(("title", "source"), payload)
        yield {**given, "id": f"{payload}/{number}", "url": payload, "text": f"Hostile {payload}"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of this process."""
    with Library(tmp_path_factory.mktemp("site") / "library", ToyEmbedder(), create=True) as library:
        long = "".join(f"Line {number} of the log.\n" for number in range(10_000))
        records = [
            {name: value for name, value in TREATY.items() if name != "authors"},
            {"id": "later", "title": "Looking back", "source": "Almanac", "text": "As said, it was in 1648."},
            {"id": "log", "title": "The log", "text": long},
            *hostile(),
        ]
        library.add(make_article(**record) for record in records)

        def ask(question: Question) -> Answer:
            if question.text in PAYLOADS:
                return answering((0.5, ((f"{question.text}/{PAYLOADS.index(question.text)}", question.text),)))(
                    library
                )(question)
            return ASKED[question.text](library)(question)

        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            server = uvicorn.Server(uvicorn.Config(create_app(ask, library), log_level="critical", lifespan="on"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", *OFFLINE])
        yield started
        started.close()


class Visit:
    """A reader's page, and what went wrong on it."""

    def __init__(self, browser: Any, site: str, **settings: Any) -> None:
        self.site = site
        self.context = browser.new_context(base_url=site, **settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.wrong: list[str] = []
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: Any) -> None:
        # The browser says of every page with an error's status that it could not load it.
        if message.type == "error" and not message.text.startswith("Failed to load resource: the server responded"):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.site, "data:")):
            self.wrong.append(f"request: {request.url}")


@pytest.fixture
def visit(browser: Any, site: str) -> Iterator[Visit]:
    one = Visit(browser, site)
    yield one
    assert one.wrong == []
    one.context.close()


def answer_of(page: Any) -> str:
    return str(page.locator(".pullquote").inner_text())


def test_asking_replaces_the_answer_in_place(visit: Visit) -> None:
    page = visit.page
    page.goto("/")
    page.evaluate("window.here = true")
    page.get_by_label("Ask the articles a question").fill("When was it signed?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".pullquote")
    assert answer_of(page) == "in 1648"
    assert page.url == f"{visit.site}/?q=When+was+it+signed%3F"
    assert page.title() == "When was it signed? · Pullquote"
    assert page.get_by_role("status").inner_text() == "Answer: “in 1648”, likely."
    assert page.evaluate("window.here") is True
    page.get_by_label("Ask the articles a question").fill("Who lost?")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("heading", name="No answer").wait_for()
    assert page.locator(".pullquote").count() == 0
    page.go_back()
    page.wait_for_selector(".pullquote")
    assert page.get_by_label("Ask the articles a question").input_value() == "When was it signed?"
    assert answer_of(page) == "in 1648"


def test_an_error_is_told_in_place(visit: Visit) -> None:
    page = visit.page
    page.goto("/")
    page.evaluate("window.here = true")
    page.get_by_label("Ask the articles a question").fill("What?")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Something went wrong").wait_for()
    assert page.evaluate("window.here") is True


def test_feedback_is_thanked_for_in_place(visit: Visit) -> None:
    page = visit.page
    page.goto(STATES["answer"])
    page.get_by_role("button", name="Right", exact=True).click()
    page.get_by_text("It is kept with the library that this answer is right.").wait_for()
    assert answer_of(page) == "in 1648"
    assert page.evaluate("document.activeElement.id") == "told"


def test_the_right_place_can_be_marked(visit: Visit) -> None:
    page = visit.page
    page.goto(STATES["answer"])
    page.get_by_role("button", name="Mark the right place").click()
    assert page.locator("#quote").inner_text() == "in 1648"
    page.get_by_label("The words of the answer").fill("signed in 1648")
    page.get_by_role("button", name="This is the right answer").click()
    page.get_by_text("is the right answer").wait_for()


@pytest.mark.parametrize(("button", "told"), [("Ask", "in 1648"), ("Wrong", "It is kept with the library that")])
def test_what_cannot_be_sent_in_place_is_sent_otherwise(browser: Any, site: str, button: str, told: str) -> None:
    page = Visit(browser, site).page
    page.goto(STATES["answer"])
    page.route("**", lambda route: route.abort() if route.request.resource_type == "fetch" else route.continue_())
    with page.expect_navigation():
        page.get_by_role("button", name=button).click()
    page.get_by_text(told).first.wait_for()
    page.context.close()


def test_filters_are_in_the_address(visit: Visit) -> None:
    page = visit.page
    page.goto("/")
    page.get_by_text("Only some articles").click()
    page.get_by_label("Source").fill("Almanac")
    page.get_by_label("Published since").fill("1998-01-01")
    page.get_by_label("Ask the articles a question").fill("Who lost?")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="No answer").wait_for()
    assert page.url == f"{visit.site}/?q=Who+lost%3F&source=Almanac&since=1998-01-01"


def test_all_of_it_without_javascript(browser: Any, site: str) -> None:
    visit = Visit(browser, site, java_script_enabled=False)
    page = visit.page
    page.goto("/")
    page.get_by_label("Ask the articles a question").fill("When was peace?")
    page.keyboard.press("Enter")
    assert answer_of(page) == "in 1648"
    assert page.url == f"{site}/?q=When+was+peace%3F"
    page.get_by_role("button", name="Wrong").click()
    assert "this answer is wrong" in page.locator("#told").inner_text()
    page.get_by_role("link", name="Back to the answer").click()
    page.get_by_role("link", name="Read on in the article").click()
    assert page.locator("mark").inner_text() == "in 1648"
    page.get_by_role("link", name="Add", exact=True).click()
    page.get_by_label("Text", exact=True).fill("Pasted\nin two lines.")
    page.get_by_label("Title").fill("Pasted")
    page.get_by_role("button", name="Add this text").click()
    page.get_by_role("link", name="Pasted").click()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    assert "“Pasted” is no longer in the library" in page.locator("#told").inner_text()
    assert visit.wrong == []
    visit.context.close()


def test_by_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    page.goto(STATES["answer"])
    passed: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        passed.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", passed[-1]
    assert passed == [
        *("Skip to the content", "Pullquote", "Ask", "Articles", "Add", "q", "Ask", "Only some articles"),
        *("The treaty", "Read on in the article", "Open the original page", "Looking back"),
        *("Right", "Wrong", "Mark the right place", "The articles do not answer"),
    ]
    page.goto(STATES["answer"])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_accessible(browser: Any, site: str, state: str, scheme: str) -> None:
    visit = Visit(
        browser, site, color_scheme=scheme, viewport={"width": 390 if scheme == "dark" else 1280, "height": 800}
    )
    visit.page.goto(STATES[state])
    # best-practice too, not only what WCAG asks for
    result = axe.Axe().run(visit.page)
    assert [(found["id"], [node["html"] for node in found["nodes"]]) for found in result.response["violations"]] == []
    assert visit.wrong == []
    visit.context.close()


def test_signing_in_to_a_collection(browser: Any, tmp_path: Path) -> None:
    with shelved(tmp_path) as (client, keys), listening(client.app, lifespan="off") as port:
        visit = Visit(browser, f"http://127.0.0.1:{port}")
        secret = keys.add("desk", Right.READ)
        visit.page.goto("/c/press/articles")
        visit.page.get_by_label("Key").fill(secret)
        visit.page.get_by_role("button", name="Sign in").press("Enter")
        visit.page.get_by_role("link", name="Secret soup").first.click()
        assert visit.page.url.endswith("/c/press/articles/soup")
        assert axe.Axe().run(visit.page).response["violations"] == []
        visit.page.get_by_role("navigation", name="Collections").get_by_role("link", name="main").click()
        visit.page.get_by_role("link", name="Articles", exact=True).click()
        assert "Secret soup" not in visit.page.content()
        visit.page.get_by_role("button", name="Sign out desk").click()
        assert visit.page.get_by_role("heading", name="Sign in with a key").is_visible()
        visit.context.close()


@pytest.mark.parametrize("width", [320, 390])
def test_no_page_is_wider_than_a_phone(browser: Any, site: str, width: int) -> None:
    visit = Visit(browser, site, viewport={"width": width, "height": 800})
    for state, path in STATES.items():
        visit.page.goto(path)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, state
    visit.context.close()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_does_nothing(browser: Any, site: str, payload: str) -> None:
    """Not in the page, nor when it is put in place by htmx, nor where it is pointed at and clicked on."""
    visit = Visit(browser, site)
    page = visit.page
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error(e.blockedURI, e.violatedDirective))"
    )
    id = f"{payload}/{PAYLOADS.index(payload)}"
    page.goto("/")
    page.get_by_label("Ask the articles a question").fill(payload)
    page.keyboard.press("Enter")
    page.locator("#results h2").first.wait_for()
    for path in (f"/?q={quote(payload)}", f"/articles/{quote(id, safe='')}?start=0&end=9&q={quote(payload)}"):
        page.goto(path)
        for element in page.locator("main p, main h1, main blockquote, main .text").all()[:6]:
            element.dispatch_event("mouseover")
    assert page.locator("main script, main style, main iframe, main img, main svg, main object, main base").count() == 0
    assert visit.wrong == []
    assert re.match(r"http://127\.0\.0\.1:\d+/", page.url)
    visit.context.close()
