"""What the page teaches with: overview, all maps at once, sandbox, lessons, colours."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from explain_subjects import picture, saved
from hypothesis import given, settings
from hypothesis import strategies as st

import featcli
from featcli.frame import Source
from featcli.models.tracing import trace_pipeline
from featcli.pipeline import Pipeline
from featcli.trace import Sum
from featcli.view.explain.lessons import LESSONS, lesson_of
from featcli.view.explain.page import page

pytestmark = pytest.mark.slow

pytest_plugins = ("explain_fixtures",)
PLACE = "return ['row', 'col'].map((name) => Number(document.getElementById(name).value))"

# --- The sandbox

_CONVOLVED = """
const [cases] = arguments;
return cases.map(([rows, cols, values, kernel, options]) => {
  const found = convolved({ rows, cols, values }, kernel, options);
  return found.error ? found.error : [found.rows, found.cols, [...found.values]];
});
"""


def sandbox_cases(count: int) -> list[tuple]:
    random = np.random.default_rng(19)
    cases = []
    for _ in range(count):
        shape = random.integers(1, 13, 2)
        whole = random.random() < 0.5
        data = random.integers(-9, 10, shape) if whole else random.normal(0, 50, shape)
        taps = random.integers(1, 6, 2)
        kernel = random.integers(-3, 4, taps) if whole else random.normal(size=taps)
        options = {
            "stride": int(random.integers(1, 5)),
            "dilation": int(random.integers(1, 4)),
            "padding": str(random.choice(["same", "same", "valid"])),
            "border": str(random.choice(["reflect", "nearest", "mirror", "constant", "wrap"])),
            "flip": bool(random.random() < 0.3),
        }
        cases.append((data.astype(float), kernel.astype(float), options))
    return cases


def test_the_sandbox_computes_what_featcli_does_in_200_random_cases(browser, small):
    cases = sandbox_cases(200)
    browser.open(small["article"].path)
    given = [[*d.shape, d.ravel().tolist(), k.tolist(), o] for d, k, o in cases]
    refused = 0
    for found, (data, kernel, options) in zip(
        browser.script(_CONVOLVED, given), cases, strict=True
    ):
        try:
            wanted = featcli.convolve(data, kernel, **options)
        except ValueError as error:
            assert found == str(error)
            refused += 1
            continue
        rows, cols, values = found
        assert (rows, cols) == wanted.shape
        bound = 1e-5 * np.abs(kernel).sum() * np.abs(data).max() + 1e-30
        np.testing.assert_allclose(np.reshape(values, (rows, cols)), wanted, rtol=0, atol=bound)
    assert 10 < refused < 100


def test_a_changed_number_changes_map_arithmetic_and_command(browser, small):
    browser.open(small["article"].path)
    shown = "return Number(document.getElementById('bench-cell')?.dataset.value)"
    before = browser.wait(f"return (() => {{ {shown} }})() || null")
    edit = (
        "const cell = document.querySelector('.kernel input'); cell.value = '-5';"
        "cell.dispatchEvent(new Event('input', { bubbles: true }));"
    )
    browser.script(edit)
    assert browser.script(shown) != before
    table = (
        "return [...document.querySelectorAll('#bench-sum .matrix')].map((one) =>"
        "[...one.querySelectorAll('td')].map((cell) => Number(cell.title)));"
    )
    patch, kernel, products = map(np.array, browser.script(table))
    assert kernel[0] == -5
    np.testing.assert_array_equal(patch * kernel, products)
    assert browser.script(shown) == products.sum()
    command = browser.script("return document.getElementById('bench-command').textContent")
    name = browser.script("return given.pictures[0]")
    assert command == f'featcli convolve {name} -k "-5 0 1; -1 0 1; -1 0 1"'
    problem = "return document.querySelector('.wrong-number').textContent"
    assert browser.script(problem) == ""
    browser.script(edit.replace("-5", "much"))
    assert browser.script(
        "return document.querySelector('.kernel input').ariaInvalid ?? "
        "document.querySelector('.kernel input').getAttribute('aria-invalid')"
    ) == "true"  # fmt: skip
    assert "'much': give a number" in browser.script(problem)
    other = (
        "const one = document.querySelector(\"#bench select[aria-label='picture']\");"
        "one.value = 'stripes'; one.dispatchEvent(new Event('change'));"
        "return document.getElementById('bench-command').textContent"
    )
    assert browser.script(other).startswith("featcli convolve PICTURE -k")
    browser.script(edit)
    assert browser.script(problem) == ""
    quote = "return quoted(arguments[0])"
    for name in ("a b.png", "it's.png", "-x.png", "$(x).png", "Bär.png"):
        word = f"./{name}" if name.startswith("-") else name
        assert shlex.split(browser.script(quote, name)) == [word]
    assert not browser.troubles()


def test_the_sandbox_offers_every_picture_of_the_page(browser, tmp_path):
    frames = [picture(90, 200), picture(30, 30)]
    frames[1] = frames[1].replace(source=Source("other", "other.png"))
    path = tmp_path / "two.html"
    path.write_text(page([trace_pipeline(Pipeline("relu"), one) for one in frames]), "utf-8")
    browser.open(path)
    options = "return [...document.querySelectorAll('#bench select option')].map((o) => o.value)"
    names = browser.wait(f"return (() => {{ {options} }})().slice(0, 9)")
    file = Path(frames[0].source.file).name
    assert names == [f"{file}: {c}{cells}" for cells in ("", ", large cells") for c in "RGB"] + [
        f"other.png: {c}" for c in "RGB"
    ]
    choose = (
        "const one = document.querySelector(\"#bench select[aria-label='picture']\");"
        "one.value = arguments[0]; one.dispatchEvent(new Event('change'));"
        "return [bench.map.rows, bench.map.cols, [...bench.map.values], "
        "document.getElementById('bench-command').textContent]"
    )
    for name, frame, every in (
        (names[0], frames[0], 2), (names[4], frames[0], 7), ("other.png: B", frames[1], 1)
    ):  # fmt: skip
        rows, cols, values, command = browser.script(choose, name)
        channel = "RGB".index(name.split(": ")[1][0])
        wanted = frame.data[::every, ::every, channel]
        np.testing.assert_array_equal(np.reshape(values, (rows, cols)), wanted)
        assert Path(frame.source.file).name in command


# --- A filter of several channels as a whole


@pytest.mark.parametrize("name", ["network", "few maps"])
def test_the_maps_of_all_channels_the_rest_and_the_bias_give_the_map(browser, small, name):
    subject = small[name]
    browser.open(subject.path)
    script = """
        const [number, place, done] = arguments;
        loaded(number).then((at) => {
          const { parts, rest, bias } = intermediates(at, place);
          const maps = [...parts.map((one) => one.values), ...(rest ? [rest] : [])];
          const sum = added(maps, maps[0].length);
          done(Array.from(sum, (x) => activated(at.rule.activation, x + bias)));
        });
    """
    checked = 0
    for number, layer in enumerate(subject.trace.layers):
        if not isinstance(layer.rule, Sum):
            continue
        for place, channel in enumerate(subject.selection.channels[number]):
            found = browser.driver.execute_async_script(script, number, place)
            wanted = layer.data[:, :, channel]
            scale = np.abs(wanted).max() or 1
            np.testing.assert_allclose(
                np.reshape(found, wanted.shape), wanted, rtol=2e-5, atol=2e-5 * scale
            )
            checked += 1
    assert checked >= 5


def test_all_maps_that_come_in_are_shown_with_their_sum(browser, small):
    subject = small["network"]
    browser.open(subject.path)
    number = next(k for k, layer in enumerate(subject.trace.layers) if layer.name == "conv")
    browser.shown(number, 1, 3, 4)
    names = (
        "return [...document.querySelectorAll('#elastic canvas')].map((one) => one.ariaLabel ?? "
        "one.getAttribute('aria-label'))"
    )
    found = browser.wait(f"return (() => {{ {names} }})().length ? (() => {{ {names} }})() : null")
    for channel in "RGB":
        assert channel in found and f"from {channel}" in found
    assert found[-3:] == ["sum", "with the bias", "the result"]
    browser.wait("return document.querySelectorAll('#elastic .value')[1].textContent")
    six = next(k for k, layer in enumerate(subject.trace.layers) if layer.name == "conv2")
    strands = "document.querySelectorAll('#elastic .strand').length"
    wide = max(range(len(subject.trace.layers)), key=lambda k: (
        len(subject.trace.layers[k].rule.filters[0].sources)
        if isinstance(subject.trace.layers[k].rule, Sum) else 0))  # fmt: skip
    count = len(subject.trace.layers[wide].rule.filters[0].sources)
    assert count > 6 and six
    browser.shown(wide, 0, 0, 0)
    browser.wait(f"return {strands} === 7")  # six, and the others together
    browser.script("document.querySelector('#elastic .strands > button').click()")
    browser.wait(f"return {strands} === {count}")
    # Of a convolution of one channel there is nothing to add.
    browser.open(small["article"].path)
    browser.shown(1, 0, 2, 3)
    assert browser.script("return document.getElementById('elastic').hidden")


# --- Moving


def test_pointing_at_the_input_moves_the_window(browser, small):
    browser.open(small["article"].path)
    point = (
        "const map = document.querySelector('#before canvas'), box = map.getBoundingClientRect();"
        "map.dispatchEvent(new PointerEvent(arguments[0], {bubbles: true,"
        " clientX: box.left + box.width * arguments[1],"
        " clientY: box.top + box.height * arguments[2]}));"
    )
    browser.shown(1, 0, 0, 0)
    browser.script(point, "pointermove", (5 + 0.5) / 8, (4 + 0.5) / 6)
    browser.wait(f"return (() => {{ {PLACE} }})().join() === '4,5'")
    browser.shown(3, 0, 0, 0)  # pool 2: the cell of the window
    browser.script(point, "pointermove", (5 + 0.5) / 8, (4 + 0.5) / 6)
    browser.wait(f"return (() => {{ {PLACE} }})().join() === '2,2'")
    browser.shown(4, 0, 0, 0)  # flatten: the place in the vector
    browser.script(point, "click", (1 + 0.5) / 4, (2 + 0.5) / 3)
    browser.wait("return document.getElementById('row').value === '9'")
    browser.script(point, "pointermove", 0.01, 0.01)
    assert browser.script("return document.getElementById('row').value") == "9"


@pytest.mark.slow
def test_play_ends_after_few_steps_on_a_map_of_any_size(browser, tmp_path, small):
    tall = trace_pipeline(Pipeline("relu"), picture(300, 200))
    for subject in (small["article"], saved(tmp_path / "tall.html", tall)):
        browser.open(subject.path)
        rows, cols = subject.trace.layers[1].data.shape[:2]
        browser.shown(1, 0, 0, 0)
        stops = browser.script("return stopsOf(state.at.layer)")
        assert stops[0] == [0, 0] and stops[-1] == [rows - 1, cols - 1]
        assert len(stops) <= 96
        assert stops == sorted(stops)
        browser.script("document.getElementById('play').click()")
        browser.wait("return state.timer === null")
        assert browser.script(PLACE) == [rows - 1, cols - 1]


def test_the_slider_moves_the_window_and_follows_it(browser, small):
    browser.open(small["article"].path)
    browser.shown(1, 0, 2, 3)
    bar = "const bar = document.getElementById('progress');"
    assert browser.script(bar + "return [Number(bar.value), Number(bar.max)]") == [19, 47]
    browser.script(bar + "bar.value = 29; bar.dispatchEvent(new Event('input'));")
    browser.wait(f"return (() => {{ {PLACE} }})().join() === '3,5'")


# --- Colours, the column, lessons

_PIXEL = """
const [number, place, row, col, done] = arguments;
const image = new Image();
image.src = document.querySelector(`button[data-layer="${number}"][data-place="${place}"] img`).src;
image.decode().then(() => {
  const pen = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
  pen.drawImage(image, 0, 0);
  done([...pen.getImageData(col, row, 1, 1).data].slice(0, 3));
});
"""


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
@settings(max_examples=25)
def test_values_get_the_colours_that_python_gives_them(browser, opened, values):
    from featcli.view import colour
    from featcli.view.mapping import Mapping, to_pixels

    reach = max(map(abs, values)) or 1.0
    for cmap, low in (("coolwarm", -reach), ("magma", 0.0)):
        levels = to_pixels(np.array(values), Mapping("signed", low, reach))
        found = browser.script(
            "return arguments[0].map((x) => colourAt(x, arguments[1]))",
            values,
            {"lo": low, "hi": reach, "cmap": cmap},
        )
        wanted = colour.table(cmap)[levels]
        # a value in the middle between two levels may go either way
        assert np.abs(np.array(found) - wanted).max() <= 9


@pytest.fixture(scope="module")
def opened(browser, small):
    browser.open(small["article"].path)


def test_colours_are_scaled_by_map_layer_or_page(browser, small):
    subject = small["article"]
    browser.open(subject.path)
    layer = subject.trace.layers[1]
    plane = layer.data[:, :, 0]
    row, col = map(int, np.unravel_index(np.abs(plane).argmax(), plane.shape))
    choose = (
        "const one = document.getElementById('scale'); one.value = arguments[0];"
        "one.dispatchEvent(new Event('change'));"
    )
    colours = {}
    for how in ("layer", "map", "page", "layer"):
        browser.script(choose, how)
        browser.wait("return (document.documentElement.dataset.scale ?? 'layer') === arguments[0]",
                     how)  # fmt: skip
        found = browser.driver.execute_async_script(_PIXEL, 1, 0, row, col)
        assert colours.setdefault(how, found) == found
    end = [180, 4, 38] if plane[row, col] > 0 else [59, 76, 192]
    assert colours["map"] == end
    reach = np.abs(layer.data).max()
    assert (colours["layer"] == end) == (abs(plane[row, col]) == reach)
    line = "return document.querySelector('#layer1 .scale').textContent"
    assert f"{reach:.4g}" in browser.script(line)


def test_a_flattened_vector_is_a_numbered_column_in_its_order(browser, small, tmp_path):
    subject = small["article"]
    column = (
        "return [...document.querySelectorAll('#layer4 .column li button')]"
        ".map((one) => one.textContent.trim())"
    )
    browser.open(subject.path)
    browser.wait("return document.querySelector('#layer4 .column li button')")
    lines = browser.script(column)
    values = subject.trace.layers[4].data
    for k, line in enumerate(lines):
        index, number = line.split()
        assert index == str(k) and np.float32(number) == values[k]
    browser.script("document.querySelectorAll('#layer4 .column button')[7].click()")
    browser.wait("return document.getElementById('row').value === '7'")
    long = saved(tmp_path / "l.html", trace_pipeline(Pipeline("flatten"), picture(90, 80)))
    browser.open(long.path)
    browser.wait("return document.querySelector('#layer1 .column li button')")
    browser.script("document.querySelector('#layer1 .column ol').scrollTop = 1e9")
    browser.wait(
        "return [...document.querySelectorAll('#layer1 .column li b')].pop().textContent "
        "=== '21599'"
    )
    assert browser.script("return document.querySelectorAll('#layer1 .column li').length") < 60


def test_a_short_vector_is_a_column_and_its_cells_have_their_numbers(browser, tmp_path):
    subject = saved(tmp_path / "s.html", trace_pipeline(Pipeline("gray | flatten"), picture(3, 5)))
    browser.open(subject.path, "#layer2/0/7/0")
    browser.wait("return document.getElementById('row').value === '7'")
    size = "const one = document.querySelector('#after canvas'); return [one.width, one.height]"
    wide, high = browser.wait(f"return (() => {{ {size} }})()")
    assert high > 4 * wide > 160
    shown = browser.script(
        "const box = document.querySelector('#layer2 .map img').getBoundingClientRect();"
        "return [box.width, box.height]"
    )
    assert shown[1] > 3 * shown[0]
    browser.script("document.getElementById('close').click()")


def test_what_brings_pictures_to_one_size_has_a_lesson_of_its_own():
    for text, lesson in (
        ("crop --size 6", "size"), ("resize 5x6", "size"), ("split-channels", "pick"),
        ("rgb", "pick"), ("relu", "activate"),
    ):  # fmt: skip
        trace = trace_pipeline(Pipeline(text), picture(8, 9))
        layer = trace.layers[-1]
        assert lesson_of(layer, trace.inputs_of(layer)) == lesson
        assert f'id="lesson-{lesson}"' in page(trace)


def test_each_kind_of_layer_has_its_lesson_once_in_the_order_of_the_article(small):
    text = small["article"].path.read_text("utf-8")
    kinds = [layer.kind for layer in small["article"].trace.layers]
    for kind in kinds:
        assert text.count(f'id="lesson-{kind}"') == 1
        assert LESSONS[kind].exercise[:20] in text
    order = [kind for kind in LESSONS if kind in kinds]
    assert order.index("flatten") < order.index("sum") < order.index("pool")
    again = page(trace_pipeline(Pipeline("relu | abs"), picture()))
    assert again.count('id="lesson-activate"') == 1
    assert again.count('href="#lesson-activate"') == 2  # from the second one, and from the first


def test_a_link_to_a_lesson_folds_it_out(browser, small):
    browser.open(small["network"].path, "#lesson-dense")
    browser.wait("return document.getElementById('lesson-dense').open")
    browser.script("location.hash = '#lesson-sum'")
    browser.wait("return document.getElementById('lesson-sum').open")
