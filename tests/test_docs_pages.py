"""The built pages in a browser, at two widths; ``tox -e browser`` says where they are."""

import functools
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PAGES = os.environ.get("GALMERGE_DA_PAGES")
pytestmark = pytest.mark.skipif(PAGES is None, reason="pages in a browser: run by tox -e browser")

WIDTHS = (1280, 500)
KINDS = ("*.html", "development/*.html", "auto_gallery/*.html")
FORMULA_PAGES = ("science.html", "api/galmerge_da.adaptation.functional.mmd.html")

OVERFLOW = """
const excess = ["html", ".bd-main", ".bd-content", ".bd-article-container"].flatMap(
    name => [...document.querySelectorAll(name)].map(each => each.scrollWidth - each.clientWidth));
return [Math.max(...excess), window.innerWidth];
"""
IMAGES = """
const own = [...document.images].filter(each => each.src.startsWith(location.origin));
return [own.length, own.filter(each => !each.complete || !each.naturalWidth).map(each => each.src)];
"""

FORMULAS = """
const done = arguments[0];
const count = selector => document.querySelectorAll(selector).length;
const tell = () => done([count('.math'), count('.math mjx-container'), count('mjx-merror')]);
if (count('.math')) { MathJax.startup.promise.then(tell); } else { tell(); }
"""


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def address():
    assert (Path(PAGES) / "index.html").is_file(), f"build the pages first: {PAGES} has no index.html"
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=PAGES))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser():
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = shutil.which("google-chrome") or shutil.which("chromium")
    for switch in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "hide-scrollbars",
        "force-device-scale-factor=1",
    ):
        options.add_argument(f"--{switch}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")  # other sites have no say
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options, ChromeService(shutil.which("chromedriver")))
    yield chrome
    chrome.quit()


def set_width(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def names():
    found = [path for kind in KINDS if PAGES for path in sorted(Path(PAGES).glob(kind))]
    found = [path.relative_to(PAGES).as_posix() for path in found if path.stem != "sg_execution_times"]
    found += [page for page in FORMULA_PAGES if page not in found] if found else []
    return found or ["index.html"]  # times are a table that a script of another site sorts


@pytest.mark.parametrize("name", names())
def test_a_page_fits_and_its_pictures_and_scripts_load(browser, address, name):
    for width in WIDTHS:
        set_width(browser, width)
        browser.get(f"{address}/{name}")
        excess, inner = browser.execute_script(OVERFLOW)
        assert inner == width and excess <= 0, f"{excess} pixels too wide at {width}"
        for image in browser.find_elements("tag name", "img"):
            browser.execute_script("arguments[0].loading = 'eager'", image)
        n_images, missing = browser.execute_async_script(
            "const done = arguments[0]; Promise.all([...document.images].map(each => each.decode().catch(() => 0)))"
            f".then(() => done((() => {{{IMAGES}}})()))"
        )
        assert not missing
        assert n_images or name not in ("index.html", "studies.html", "auto_gallery/index.html")
        n_formulas, drawn, n_errors = browser.execute_async_script(FORMULAS)
        assert (drawn, n_errors) == (n_formulas, 0), f"{drawn} of {n_formulas} formulas drawn, {n_errors} with errors"
        assert n_formulas or name not in FORMULA_PAGES
        wrong = [entry["message"] for entry in browser.get_log("browser") if entry["message"].startswith(address)]
        assert not [message for message in wrong if "Uncaught" in message or "Failed to load" in message]


def test_the_search_finds_a_loss(browser, address):
    from selenium.webdriver.support.ui import WebDriverWait

    set_width(browser, 1280)
    browser.get(f"{address}/search.html?q=entropy+minimisation")
    links = WebDriverWait(browser, 20).until(lambda page: page.find_elements("css selector", "#search-results li a"))
    assert any("adaptation" in link.get_attribute("href") for link in links)


def test_the_gallery_has_ten_pictures_that_lead_somewhere(browser, address):
    set_width(browser, 1280)
    browser.get(f"{address}/auto_gallery/index.html")
    links = browser.find_elements("css selector", ".sphx-glr-thumbcontainer a.reference.internal")
    targets = {link.get_attribute("href").split("#")[0] for link in links}
    assert len(targets) == 10
    for target in targets:
        browser.get(target)
        assert browser.find_elements("css selector", "img.sphx-glr-single-img, img.sphx-glr-multi-img")


def test_from_the_index_to_the_quick_start(browser, address):
    set_width(browser, 500)
    browser.get(f"{address}/index.html")
    link = next(each for each in browser.find_elements("css selector", "article a, main a, .bd-content a")
                if (each.get_attribute("href") or "").split("#")[0].endswith("/quickstart.html"))  # fmt: skip
    browser.execute_script("arguments[0].click()", link)
    assert "write_catalog" in browser.find_element("tag name", "body").text
