"""The page in a real Chromium: axe finds no violation, nothing is asked of a network, and a phone does not scroll sideways.

Needs Chromium or Chrome (`apt-get install chromium`, or `playwright install chromium`), and npm, which fetches axe-core. What is missing is said by the skip.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from pages import page, reports, studies, study_page

pytestmark = pytest.mark.heavy

MODES = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light", "is_mobile": True},
    "print": {"viewport": {"width": 794, "height": 1123}, "color_scheme": "dark"},
}
# The browser's own traffic is switched off: what its log then has, the page asked for.
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on PATH: axe-core cannot be fetched")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run([npm, "pack", "axe-core@4", "--silent"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot fetch axe-core: {done.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra `pages`")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    log = tmp_path_factory.mktemp("net") / "net.json"
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=found, args=[*QUIET, f"--log-net-log={log}"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium can be started: {str(error).splitlines()[0]}")
        started.net_log = log
        started.expect = sync_api.expect
        yield started
        if started.is_connected():
            started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, report in reports().items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(page(report), "utf-8")
    for name, trained in studies().items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(study_page(trained), "utf-8")
    return made


def opened(browser, file: Path, mode: str, **more):
    tab = browser.new_context(**{**MODES[mode], **more}).new_page()
    if mode == "print":
        tab.emulate_media(media="print")
    tab.goto(file.as_uri())
    return tab


@pytest.mark.parametrize("mode", MODES)
def test_axe_finds_no_violation(browser, axe, files, mode):
    found = {}
    for name, file in files.items():
        tab = opened(browser, file, mode)
        tab.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        tab.evaluate(axe)
        result = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert len(result["passes"]) > 10
        found[name] = [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in result["violations"]]
        tab.context.close()
    assert found == {name: [] for name in files}


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_width_scrolls_sideways(browser, files, width):
    for name, file in files.items():
        tab = opened(browser, file, "phone", viewport={"width": width, "height": 740})
        tab.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        wide = tab.evaluate("document.documentElement.scrollWidth")
        inner = tab.evaluate(
            "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible' && !e.closest('.away')).map(e => e.className)"
        )
        assert (name, wide, inner) == (name, width, [])
        tab.context.close()


def test_a_command_is_copied_and_without_a_script_there_is_no_button(browser, files):
    tab = opened(browser, files["errors"], "light", permissions=["clipboard-read", "clipboard-write"])
    code = tab.locator(".command code").first.text_content()
    tab.keyboard.press("Tab")
    button = tab.locator(".command button").first
    button.focus()
    tab.keyboard.press("Enter")
    browser.expect(button).to_have_text("Copied")
    assert tab.evaluate("navigator.clipboard.readText()") == code
    assert tab.locator(".command button").count() == tab.locator(".command").count()
    tab.context.close()
    bare = opened(browser, files["errors"], "light", java_script_enabled=False)
    assert bare.locator("button").count() == 0
    assert bare.locator(".command code").first.inner_text() == code
    bare.context.close()


def test_foreign_text_does_nothing_and_no_script_but_ours_runs(browser, files):
    tab = browser.new_context().new_page()
    said = []
    tab.on("dialog", lambda dialog: said.append(dialog.message) or dialog.dismiss())
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(files["foreign-text"].as_uri())
    assert said == []
    assert tab.locator("img, link, iframe, object, embed").count() == 0
    assert (
        tab.evaluate(
            "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
        )
        == []
    )
    tab.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert tab.evaluate("window.ran") is None  # the policy of the page refuses it
    tab.context.close()


def test_a_dark_screen_prints_on_white_paper(browser, files):
    ground = "getComputedStyle(document.querySelector('.attn-doctor')).backgroundColor"
    assert opened(browser, files["errors"], "dark").evaluate(ground) != "rgb(255, 255, 255)"
    assert opened(browser, files["errors"], "print").evaluate(ground) == "rgb(255, 255, 255)"


def test_nothing_is_asked_of_a_network(browser, files):
    """Runs last: it closes the browser, whose log then is whole."""
    asked = []
    for file in files.values():
        tab = browser.new_context().new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(file.as_uri())
        tab.context.close()
    assert asked == [file.as_uri() for file in files.values()]
    control = files["errors"].with_name("control.html")
    control.write_text("<!doctype html><img src=http://127.0.0.1:9/control>", "utf-8")
    tab = browser.new_context().new_page()
    tab.goto(control.as_uri())
    browser.close()
    log = json.loads(browser.net_log.read_text("utf-8"))
    # What the browser asks for by itself has no origin as its initiator; a page has one.
    events = [
        event["params"]
        for event in log["events"]
        if isinstance(event.get("params"), dict) and "initiator" in event["params"]
    ]
    assert {event["url"] for event in events if event["initiator"] != "not an origin"} == {"http://127.0.0.1:9/control"}
