"""The page of a report in a browser: it loads, filters, sorts, opens pictures, and fits a phone."""

import re
import shutil
import time

import numpy as np
import pytest
from made_store import CLASSES, ODD, label_of, make_pictures, make_store

from jaxcam.datasets import report

pytestmark = pytest.mark.browser

COUNT = 300
PHONE = {"viewport": {"width": 375, "height": 667}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium on the path")
    with driver.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A report of two stores of 300 pictures; two records of the first failed, a third is not done."""
    folder = tmp_path_factory.mktemp("report")
    names = make_pictures(folder / "pictures", COUNT)
    (folder / "pictures" / names[3]).unlink()
    (folder / "pictures" / names[3]).write_bytes(b"")
    status, errors = np.ones(COUNT, np.uint8), [""] * COUNT
    status[[1, 2]], status[5] = 2, 0
    errors[1] = errors[2] = "is <i>empty</i>"
    one = make_store(
        folder / "one.zarr",
        folder / "pictures",
        names,
        method="gradcam",
        seed=1,
        status=status,
        errors=errors,
    )
    two = make_store(folder / "two.zarr", folder / "pictures", names, method="layercam", seed=2)
    report([one, two], folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def visit(browser, page_file):
    """(hash, **context) -> the open page; in the end no message, error or request may have been seen."""
    seen, contexts = [], []

    def go(address="", **given):
        contexts.append(browser.new_context(**given))
        page = contexts[-1].new_page()
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: asked.url.startswith(("data:", "file:")) or seen.append(asked.url))
        page.goto(f"{page_file.as_uri()}#{address}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert seen == []


def shown(page) -> list[str]:
    return page.eval_on_selector_all(".card .file .cut:first-child", "all => all.map((each) => each.title)")


def count(page) -> int:
    return int(re.match(r"\d+", page.inner_text("#count"))[0])


def address(page) -> str:
    """What follows `#`, as the page has it now; `page.url` is as old as the last event that was taken in."""
    return page.evaluate("location.hash")


def until(true, *, seconds=20):
    """Asks again and again: the page's own waiting evaluates text, which the page forbids."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def drops(page, column: int = 0) -> list[float]:
    texts = page.eval_on_selector_all(
        ".card", f"all => all.map((each) => each.querySelectorAll('.caption')[{column}].textContent)"
    )
    return [float(found[1]) for text in texts if (found := re.search(r"drop ([\d.]+)", text))]


def test_it_loads_and_keeps_few_cards_in_the_page(visit):
    page = visit()
    assert count(page) == COUNT
    first = shown(page)
    assert first[0] == "a/0000.png"
    assert 4 < len(first) < 60
    assert page.locator(".card").first.locator(".method").all_inner_texts() == ["gradcam", "layercam"]
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector("li[aria-posinset='300']")
    assert "日本" in shown(page)[-1]
    assert len(shown(page)) < 60
    assert "a/0000.png" not in shown(page)


def test_maps_and_pictures_are_drawn_one_over_the_other(visit):
    page = visit()
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('.card .frame:not(.none)')].map((frame) =>
             ['img', 'canvas'].map((each) => frame.querySelector(each)?.getBoundingClientRect().toJSON()))"""
    )
    both = [each for each in boxes if each[0] and each[1]]
    assert len(both) > 4
    assert all(picture == drawn for picture, drawn in both)
    colours = page.evaluate(
        """() => { const canvas = document.querySelector('.card canvas');
                   const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                   const pixels = new Uint32Array(data.buffer);
                   return new Set(pixels).size; }"""
    )
    assert colours > 50
    opacity = "getComputedStyle(document.querySelector('.card canvas')).opacity"
    assert page.evaluate(opacity) == "0.5"
    page.locator("#alpha").fill("80")
    assert page.evaluate(opacity) == "0.8"
    before = page.evaluate("document.querySelector('.card canvas').toDataURL()")
    page.select_option("#colours", "viridis")
    assert page.evaluate("document.querySelector('.card canvas').toDataURL()") != before


def test_filters(visit):
    page = visit()
    labels = [
        label_of(path)
        for path in page.evaluate("JSON.parse(document.getElementById('about').textContent).paths")
    ]
    page.select_option("#cls", "2")
    assert count(page) == labels.count(2)
    assert page.inner_text("#cls option:checked") == f"{CLASSES[2]} ({labels.count(2)})"
    page.click("#clear")
    assert count(page) == COUNT
    page.select_option("#by", "predicted")
    page.select_option("#cls", "1")
    right = count(page)
    page.select_option("#right", "wrong")
    wrong = count(page)
    assert 0 < wrong < right
    assert (
        page.locator(".card .mark.bad").count() == page.locator(".card .panel:first-child .mark").count() * 2
    )
    page.click("#clear")
    page.select_option("#status", "2")
    assert shown(page) == ["b/0001.png", "a/0002.png"]
    assert page.locator(".frame.none").first.inner_text().split("\n")[:2] == ["failed", "is <i>empty</i>"]
    page.select_option("#status", "0")
    assert shown(page) == ["b/0005.png"]
    assert "not done yet" in page.locator(".frame.none").inner_text()


def test_search_and_nothing_found(visit):
    page = visit()
    page.keyboard.press("/")
    page.keyboard.type("z/ ONERROR")
    until(lambda: count(page) == 1)
    assert shown(page) == ["z/</script><img src=x onerror=alert(1)>.png"]
    page.fill("#q", "no such thing")
    page.wait_for_selector("#empty:visible")
    assert count(page) == 0
    page.click("#clear")
    assert count(page) == COUNT


def test_sorting(visit):
    page = visit()
    page.select_option("#sort", "drop")
    low = drops(page)
    assert low == sorted(low)
    page.click("#desc")
    high = drops(page)
    assert high == sorted(high, reverse=True)
    assert min(high) > max(low)
    page.select_option("#of", "1")  # the other store's values
    assert drops(page, 1) == sorted(drops(page, 1), reverse=True)
    assert drops(page, 0) != sorted(drops(page, 0), reverse=True)
    for name in ("score", "probability", "entropy", "agreement", "path"):
        page.select_option("#sort", name)
        assert len(shown(page)) > 4
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.select_option("#sort", "drop")
    page.select_option("#of", "0")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector("li[aria-posinset='300']")
    assert shown(page)[-3:] == ["b/0001.png", "a/0002.png", "b/0005.png"]  # without a value: last, either way


def test_a_picture_opens_and_the_keys_walk_on(visit):
    page = visit()
    page.locator(".card").nth(6).click()
    dialog = page.locator("#dialog")
    assert dialog.locator("h2").inner_text() == "a/0006.png"
    assert dialog.locator(".panel").count() == 3  # the picture and two maps
    assert dialog.locator(".top-classes tr").count() == 4
    assert "open=6" in address(page)
    page.keyboard.press("ArrowRight")
    assert dialog.locator("h2").inner_text() == "b/0007.png"
    page.click("#previous")
    page.click("#previous")
    assert "7 of 300" not in page.inner_text("#dialog-place")
    assert "not done yet" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    until(lambda: "open" not in address(page))
    assert page.evaluate("document.activeElement.closest('li').ariaPosInSet") == "6"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert dialog.locator("h2").inner_text() == "a/0006.png"
    page.go_back()
    until(lambda: not dialog.is_visible())


def test_the_address_says_what_is_shown(visit):
    page = visit("q=b/&sort=drop&desc=1&size=120&open=7&colours=magma")
    assert page.locator("#dialog h2").inner_text() == "b/0007.png"
    assert page.input_value("#colours") == "magma"
    page.keyboard.press("Escape")
    until(lambda: "open" not in address(page))
    assert count(page) == (COUNT - len(ODD)) // 2
    assert all(name.startswith("b/") for name in shown(page))
    assert drops(page) == sorted(drops(page), reverse=True)
    page.reload()
    assert page.input_value("#q") == "b/"
    assert "open" not in address(page)
    strange = visit("sort=nothing&open=99999&size=many&colours=none&alpha=900&view=x&of=7")
    assert count(strange) == COUNT


def test_a_picture_that_cannot_be_read_leaves_its_map(visit):
    page = visit("open=3")
    assert page.locator("#dialog .panel").count() == 2
    assert page.locator("#dialog .frame.alone canvas").count() == 2
    assert "picture not readable" in page.locator("#dialog").inner_text()


def test_figures_failures_and_the_run(visit):
    page = visit()
    page.click("#tab-figures")
    tiles = page.inner_text(".tiles")
    assert f"{COUNT}\npictures" in tiles
    assert "2\nfailed" in tiles
    assert page.locator(".chart").count() == 2
    assert page.locator(".chart").first.locator(".bar title").count() == 30
    page.select_option("#histogram", "drop")
    assert page.evaluate("document.activeElement.id") == "histogram"
    page.locator(".means .card", has_text="tench").first.click()
    assert page.input_value("#by") == "target"
    assert 0 < count(page) < COUNT
    page.click("#tab-failures")
    assert page.locator("#view-failures tbody tr").count() == 2
    assert "2 × is <i>empty</i>" in page.inner_text("#view-failures")
    page.keyboard.press("ArrowRight")
    assert page.locator("#view-run .box").count() == 2
    assert "cifar_resnet20" in page.inner_text("#view-run")
    page.go_back()
    assert page.locator("#view-figures, #view-pictures").locator("visible=true").count() == 1


@pytest.mark.parametrize("view", ["pictures", "figures", "failures", "run", "pictures&open=7"])
def test_a_phone_shows_it_all_without_scrolling_sideways(visit, view):
    page = visit(f"view={view}", **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    wide = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, .card, .box, #dialog')].filter((each) => {
             const box = each.getBoundingClientRect();
             return box.width && !each.closest('.scroll') && (box.right > 376 || box.left < -1);
           }).map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    if view == "pictures":
        page.tap("#more")
        page.select_option("#sort", "drop")
        assert drops(page) == sorted(drops(page))
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_light_and_dark(visit):
    page = visit(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(17, 19, 24)"
    page.click("#theme")
    assert page.evaluate(ground) == "rgb(245, 246, 248)"
    page.reload()
    assert page.evaluate(ground) == "rgb(245, 246, 248)"  # it is remembered
