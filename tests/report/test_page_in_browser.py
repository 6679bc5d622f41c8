"""The report in headless Chromium: wide and on a phone, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Tab, browser_tab, find_browser
from PIL import Image

from pipeline.report import figures
from pipeline.report.page import Folded, Gallery, Picture, Section, Table, Text, Tile, render

HOSTILE = "<img src=x onerror=alert(1)>\"'--><script>alert(2)</script>"
WIDTHS = (1280, 390)
SMALLEST_TEXT = 9  # CSS pixels


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    browser = find_browser()
    if browser is None:
        pytest.skip("needs Chromium: no such program is installed")
    with browser_tab(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all kinds of parts, whose class and image have a hostile name."""
    folder, rng = tmp_path_factory.mktemp("page"), np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(folder / "a.png")
    names = [HOSTILE, *(f"class number {number}" for number in range(59))]
    shares, counts = rng.random(60), rng.integers(1, 90, 60)
    scores = [["b", "0.25", "1,000"], ["a", "–", "9"], [HOSTILE, "-0.5", "20"], ["long " * 40] * 3]
    table = Table("Scores", "", ["name", "score", "rows"], scores[:3], words=["name"])
    tile = Tile(folder / "a.png", [HOSTILE, "true a"])
    parts = [
        table,
        Picture("Shares", "", figures.class_shares(names, shares, shares, counts), HOSTILE),
        Picture("Matrix", "", figures.confusion(np.diag(counts[:30]), names[:30]), "matrix"),
        Gallery(HOSTILE, HOSTILE, [(HOSTILE, [tile] * 9)]),
        Folded("quiet", [Text(HOSTILE, HOSTILE, HOSTILE), Table("w", "", list("abc"), scores[3:])]),
    ]
    sections = [Section(f"Part {number}", HOSTILE, parts, [("n", HOSTILE)]) for number in range(4)]
    path = folder / "page.html"
    path.write_text(render(HOSTILE, sections), encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_quiet_whole_and_no_wider_than_the_screen(
    tab: Tab, page: Path, width: int, dark: bool
) -> None:
    tab.open(page, width=width, dark=dark)
    for folded in ("", "document.querySelectorAll('details').forEach(one => one.open = true);"):
        # A phone's innerWidth grows with a page that is too wide.
        assert tab.evaluate(f"{folded} document.documentElement.scrollWidth") <= width
    assert tab.requested() == [page.as_uri()]
    assert tab.complaints() == []
    assert tab.evaluate("document.images.length") == 9 * 4  # no name became an image
    assert tab.evaluate("document.scripts.length") == 1
    assert tab.evaluate("document.querySelector('h1').textContent") == HOSTILE
    brightness = tab.evaluate(
        "['body', 'svg text', 'td'].map((one, place) => getComputedStyle(document.querySelector("
        "one))[place ? place === 1 ? 'fill' : 'color' : 'backgroundColor'])"
        ".map(colour => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0))"
    )
    back, of_figure, of_table = (value > 3 * 128 for value in brightness)
    assert (back, of_figure, of_table) == ((False, True, True) if dark else (True, False, False))


@pytest.mark.parametrize("width", WIDTHS)
def test_text_of_figures_and_tables_can_be_read(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width=width)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    sizes = tab.evaluate(
        "[...document.querySelectorAll('svg.plot')].flatMap(figure => { const scale = "
        "figure.getScreenCTM().a; return [...figure.querySelectorAll('text')].map(text => "
        "parseFloat(getComputedStyle(text).fontSize) * scale) })"
    )
    assert len(sizes) > 100
    assert min(sizes) >= SMALLEST_TEXT - 0.1
    words = "Math.min(...[...document.querySelectorAll('td.long')].map(cell => cell.clientWidth))"
    assert tab.evaluate(words) > 250


def column(tab: Tab, number: int) -> list[str]:
    """The cells of a column of the first table, in the order that they are shown."""
    cells = f"[...document.querySelectorAll('table')[0].tBodies[0].rows].map(r => r.cells[{number}]"
    return tab.evaluate(f"{cells}.textContent)")


def test_a_table_is_sorted_by_the_keyboard_and_missing_cells_stay_last(
    tab: Tab, page: Path
) -> None:
    tab.open(page, width=1280)
    assert column(tab, 1) == ["0.25", "–", "-0.5"]
    tab.evaluate("document.querySelectorAll('th button')[1].focus()")
    tab.press("Enter")
    assert column(tab, 1) == ["-0.5", "0.25", "–"]
    assert tab.evaluate("document.querySelectorAll('th')[1].ariaSort") == "ascending"
    tab.press("Enter")
    assert column(tab, 1) == ["0.25", "-0.5", "–"]
    tab.evaluate("document.querySelectorAll('th button')[2].click()")
    assert column(tab, 2) == ["9", "20", "1,000"]
    assert tab.evaluate("document.querySelectorAll('th')[1].ariaSort") is None
    tab.evaluate("document.querySelectorAll('th button')[0].click()")
    assert column(tab, 0) == [HOSTILE, "a", "b"]


@pytest.mark.parametrize("width", WIDTHS)
def test_an_image_opens_large_and_escape_closes_it(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width=width)
    shown = "document.images[4].getBoundingClientRect().width"
    assert tab.evaluate(shown) <= 150
    tab.evaluate("document.images[4].parentNode.click()")
    assert tab.evaluate(shown) > 0.8 * width
    tab.press("Escape")
    assert tab.evaluate(shown) <= 150
    assert tab.evaluate("scrollY") > 0  # where the image is, not the top
    assert tab.requested() == [page.as_uri()]


def test_without_scripts_all_is_there(tab: Tab, page: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(page, width=390)
        assert tab.requested() == [page.as_uri()]
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.evaluate("document.querySelectorAll('th button').length") == 0
    assert tab.evaluate("document.querySelectorAll('td').length") == 4 * (9 + 3)
    top = "document.querySelector('nav').getBoundingClientRect().top"
    tab.evaluate("document.querySelector('#part-2').scrollIntoView()")
    assert tab.evaluate(top) == 0  # the navigation stays in sight
    assert tab.evaluate("document.querySelector('nav a:nth-child(3)').hash") == "#part-2"
