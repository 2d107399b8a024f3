"""The HTML report in a real browser: sorting, filtering, links, a phone's width, accessibility, and no network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from orchestrator.summarizer.page import write_results_page, write_search_page
from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.saved_searches import FoundSearches
from tests.orchestrator.made_searches import made_search, made_sweep, search_of, with_test

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = {"desktop": 1280, "phone": 390}
THEMES = ("light", "dark")

# Boxes of the visible text of each visible chart; a rotated label's box is larger than its letters.
TEXT_BOXES = """() => [...document.querySelectorAll("svg.chart")].filter((svg) => svg.checkVisibility()).map((svg) => {
  const outer = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].map((text) => {
    const box = text.getBoundingClientRect();
    const turned = /rotate\\((?!-?0[ )])/.test(text.getAttribute("transform") ?? "");
    return { text: text.textContent, left: box.left, right: box.right, top: box.top, bottom: box.bottom, turned,
             size: parseFloat(getComputedStyle(text).fontSize) * outer.width / svg.viewBox.baseVal.width };
  });
  return { label: svg.getAttribute("aria-label"), left: outer.left, right: outer.right, top: outer.top,
           bottom: outer.bottom, texts, marks: svg.querySelectorAll(".mark").length };
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; the tests are skipped where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    # As root, which containers run as, Chromium does not start inside its sandbox.
    options = {"executable_path": found, "args": ["--no-sandbox", "--disable-gpu"]}
    with playwright.sync_playwright() as driver:
        try:
            started = driver.chromium.launch(**options)
        except playwright.Error as error:
            pytest.skip(f"no Chromium that starts: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    hostile = search_of([{"<b>": rate, "note": "<script>window.hit = 1</script>"} for rate in (0.3, 0.4, 0.5, 0.6)])
    hostile.name = hostile.task = '"><img src=x onerror="window.hit = 1">'
    sweep = made_sweep()[:18]
    results = make_results(FoundSearches(tuple(FoundSearch(record) for record in sweep)))
    return {
        "search": write_search_page(with_test(made_search()), folder / "search.html"),
        "results": write_results_page(sweep, folder / "results.html", results),
        "hostile": write_search_page(hostile, folder / "hostile.html"),
    }


@pytest.fixture
def show(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """Opens a page from its file, with the network off; afterwards nothing must have gone wrong on it."""
    contexts, troubles = [], []

    def opened(name: str, width: int = 1280, theme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=True, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda asked: troubles.append(asked.url) if not _is_local(asked.url) else None)
        page.set_default_timeout(10_000)
        page.goto(pages[name].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not troubles


def _is_local(url: str) -> bool:
    return url.startswith(("file:", "data:"))


def cells(page: Any, column: int) -> list[str]:
    return page.locator(f"#s1-table tbody tr:not([hidden]) td:nth-child({column})").all_inner_texts()


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts]


def heading(page: Any, name: str) -> Any:
    return page.locator("#s1-table th", has=page.get_by_role("button", name=name, exact=True))


def test_the_table_sorts_by_numbers_and_by_words(show: Any) -> None:
    page = show("search")
    names = [text.strip(" ↑↓↕\xa0") for text in page.locator("#s1-table th").all_inner_texts()]
    lengths = names.index("prompt_length") + 1
    heading(page, "prompt_length").get_by_role("button").click()
    assert numbers(cells(page, lengths)) == sorted([20, 40, 60, 80] * 6)
    assert heading(page, "prompt_length").get_attribute("aria-sort") == "ascending"
    heading(page, "prompt_length").get_by_role("button").press("Enter")
    assert numbers(cells(page, lengths)) == sorted([20, 40, 60, 80] * 6, reverse=True)
    assert page.locator("#s1-table th[aria-sort]").count() == 1
    heading(page, "mlp_lr").get_by_role("button").click()
    assert cells(page, names.index("mlp_lr") + 1) == ["1e-5"] * 12 + ["1e-4"] * 12, "as numbers, not as text"
    heading(page, "status").get_by_role("button").click()
    assert cells(page, names.index("status") + 1) == sorted(cells(page, names.index("status") + 1))


def test_the_table_filters_and_the_charts_follow(show: Any) -> None:
    page = show("search")
    page.get_by_label("Status").select_option("stopped early")
    shown = cells(page, 1)
    assert 0 < len(shown) < 24
    assert page.locator("output").inner_text() == f"{len(shown)} of 24 rows"
    kept = page.locator("#curves svg.wide .mark.kept").count()
    assert kept == page.locator("#curves svg.wide .mark").count() - 2 * (24 - len(shown)), "a line and an end each"
    page.get_by_label("Filter").missing("no such trial")
    assert cells(page, 1) == []
    page.get_by_label("Filter").missing("")
    page.get_by_label("Status").select_option("")
    assert len(cells(page, 1)) == 24


def test_a_trial_is_found_in_table_and_charts(show: Any) -> None:
    page = show("search")
    button = page.locator("button.pick").nth(4)
    button.press("Enter")
    key = page.locator("tr.picked").get_attribute("data-trial")
    assert button.get_attribute("aria-pressed") == "true"
    picked = page.locator("#curves svg.wide .mark.picked")
    assert {mark.get_attribute("data-trial") for mark in picked.all()} == {key}
    tip = page.get_by_role("status").last
    assert "prompt_lr" in tip.inner_text() and "best" in tip.inner_text()
    page.keyboard.press("Escape")
    assert page.locator(".picked").count() == 0
    cell = page.locator("#hyperparameters svg.wide .mark").last
    cell.scroll_into_view_if_needed()
    cell.click()
    assert page.locator("tr.picked").count() == 1


def test_a_link_opens_the_search_that_it_names(show: Any) -> None:
    page = show("results")
    assert not page.locator("#s3 table").is_visible()
    page.get_by_role("link", name="rte-adept-seed44").click()
    assert page.locator("#s3 table").is_visible()


def test_it_works_in_the_sandboxed_frame_of_the_mlflow_ui(show: Any, pages: dict[str, Path]) -> None:
    page = show("search")
    page.set_content('<iframe sandbox="allow-scripts" style="width: 100%; height: 90vh"></iframe>')
    page.locator("iframe").evaluate("(frame, html) => { frame.srcdoc = html; }", pages["search"].read_text("utf-8"))
    frame = page.frame_locator("iframe")
    frame.get_by_label("Status").select_option("finished")
    frame.locator("button.pick").first.click()
    assert 0 < frame.locator("tbody tr[data-trial]:not([hidden])").count() < 24
    assert frame.locator("tr.picked").count() == 1


def test_nothing_of_a_name_is_run(show: Any) -> None:
    page = show("hostile")
    assert page.evaluate("window.hit") is None
    assert "<img src=x" in page.locator("h1").inner_text()
    page.get_by_label("Filter").missing("<img")
    page.get_by_label("Filter").missing("")
    page.locator("button.pick").first.click()
    assert page.evaluate("window.hit") is None and page.locator("img").count() == 0


@pytest.mark.parametrize("name", ["search", "results", "hostile"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_nothing_is_wider_than_the_window(show: Any, name: str, width: int) -> None:
    page = show(name, width)
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["search", "results"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_no_label_of_a_chart_is_cut_hidden_or_tiny(show: Any, name: str, width: int) -> None:
    page = show(name, width)
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    charts = page.evaluate(TEXT_BOXES)
    assert len(charts) >= 5
    for chart in charts:
        texts = chart["texts"]
        cut = [
            text["text"]
            for text in texts
            if text["left"] < chart["left"] - 1 or text["right"] > chart["right"] + 1
            or text["top"] < chart["top"] - 1 or text["bottom"] > chart["bottom"] + 1
        ]  # fmt: skip
        assert not cut, f"cut in {chart['label']}"
        level = [text for text in texts if not text["turned"]]
        overlaps = [(a["text"], b["text"]) for at, a in enumerate(level) for b in level[at + 1 :] if _overlap(a, b)]
        assert not overlaps, f"one on the other in {chart['label']}"
        assert min(text["size"] for text in texts) >= 9.5, f"pixels of a letter in {chart['label']}"


def _overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    wide = min(a["right"], b["right"]) - max(a["left"], b["left"])
    tall = min(a["bottom"], b["bottom"]) - max(a["top"], b["top"])
    return wide > 1.5 and tall > 3.0  # a line's box has room above and below its letters


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["search", "results"])
def test_accessibility_has_no_findings(show: Any, name: str, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page = show(name, WIDTHS["phone" if theme == "dark" else "desktop"], theme)
    page.evaluate("document.querySelectorAll('details:nth-child(-n+3)').forEach((part) => { part.open = true; })")
    page.add_script_tag(content=resources.files(axe).joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    findings = [f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found["violations"]]
    assert not findings


@pytest.mark.parametrize("theme", [*THEMES, "print"])
def test_the_colours_of_charts_stand_out_from_the_paper(show: Any, theme: str) -> None:
    page = show("search", theme="dark" if theme == "dark" else "light")
    if theme == "print":
        page.emulate_media(media="print", color_scheme="dark")
    names = ["card", "ink", "soft", "winner", "near", "finished", "stopped", "broken", "open", "saved"]
    names += [f"method-{place}" for place in range(1, 7)]
    script = "(names) => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name))"
    colours = dict(zip(names, page.evaluate(script, names), strict=True))
    card = colours.pop("card")
    for name, colour in colours.items():
        assert compare_searches(colour, card) >= (4.5 if name in ("ink", "soft", "winner") else 3.0), name


def compare_searches(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2)."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    found = re.fullmatch(r"\s*#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})\s*", colour)
    assert found, colour
    parts = [int(part, 16) / 255 for part in found.groups()]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_print_shows_every_search_in_full(show: Any) -> None:
    page = show("results")
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.search[open]").count() == 18
    assert not page.locator(".controls").first.is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.search[open]").count() == 0
