"""The page in a browser: opened, searched, settled; and what it exports makes the plan complete."""

import json
import statistics
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from safetensors.numpy import save_file

import ml_switcheroo as ms
from browsing import browser, chromium, opened

pytest.importorskip("playwright", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def started():
    with browser() as one:
        yield one


def zeros(*shape):
    return np.zeros(shape, "f4")


BLOCKS = 3
STATE = {
    "tok.weight": zeros(50, 16),
    **{f"h.{i}.fc.weight": zeros(32, 16) for i in range(BLOCKS)},
    **{f"h.{i}.fc.bias": zeros(32) for i in range(BLOCKS)},
    **{f"h.{i}.out_proj.weight": zeros(48, 16) for i in range(BLOCKS)},
}


def written(folder, state=STATE, **like):
    save_file(state, folder / "model.safetensors")
    arguments = ["plan", str(folder / "model.safetensors"), "--to", "nnx"]
    if like:
        (folder / "like.json").write_text(json.dumps(like["like"]))
        arguments += ["--like", str(folder / "like.json")]
    return arguments


def run(arguments):
    command = [sys.executable, "-m", "ml_switcheroo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def rows(tab, side):
    return [text.split()[0] for text in tab.locator(f"#{side} .row .name").all_inner_texts()]


def download(tab, folder):
    with tab.expect_download() as found:
        tab.click("#download")
    found.value.save_as(folder / "rules.toml")
    return folder / "rules.toml"


def answer(tab, shown, words):
    box = tab.locator("fieldset", has=tab.locator("code").first.get_by_text(shown, exact=True)).first
    box.get_by_label(words).check()


def test_what_is_ambiguous_is_settled_and_the_exported_rules_complete_the_plan(started, tmp_path):
    arguments = written(tmp_path)
    assert run([*arguments, "--html", tmp_path / "page.html"]) == 1
    with opened(started, tmp_path / "page.html") as tab:
        tab.click("#tab-settle")
        assert "0 of 2 settled" in tab.inner_text("#settled")
        tab.get_by_label('Kind("tok", "embedding")').check()
        tab.get_by_label('Kind("h.{i}.out_proj", "linear")').check()
        assert "2 of 2 settled" in tab.inner_text("#settled")
        assert tab.inner_text("#tab-settle") == "To settle (0)"
        rules = download(tab, tmp_path)
        assert rules.read_text() == tab.input_value("#export textarea")
    assert run([*arguments, "--rules", rules, "-o", tmp_path / "plan.json"]) == 0
    kinds = {name: move.kind for move in ms.Plan.load(tmp_path / "plan.json").moves for name in move.sources}
    assert kinds["tok.weight"] == "embedding"
    assert {kinds[f"h.{i}.out_proj.weight"] for i in range(BLOCKS)} == {"linear"}


LIKE = {
    "embed": {"embedding": [50, 16]},
    "col": {str(i): {"zorp": {"kernel": [16, 32], "bias": [32]}} for i in range(BLOCKS)},
    "left": {"matrix": [7, 9]},
    "extra": {"scale": [5]},
}
LEFT = {**STATE, "unused": zeros(2, 3), "m": zeros(9, 7)}


def test_what_is_missing_and_left_over_is_settled_by_renames_moves_drops_and_keeps(started, tmp_path):
    arguments = written(tmp_path, LEFT, like=LIKE)
    assert run([*arguments, "--html", tmp_path / "page.html"]) == 1
    with opened(started, tmp_path / "page.html") as tab:
        tab.click("#tab-settle")
        tab.get_by_label('Rename("h.{i}.fc", "col.{i}.zorp")').check()
        assert "settled with h.{0..2}.fc" in tab.inner_text("#cards")
        tab.get_by_label('Rename("tok", "embed")').check()
        tab.get_by_label('Drop("unused")').check()
        tab.get_by_label('Drop("h.{i}.out_proj.weight")').check()
        tab.get_by_label('Keep("extra.scale")').check()
        box = tab.locator("fieldset.unexpected", has_text="float32[9,7]")
        box.get_by_label("put it into a leaf").check()
        assert 'Move("m", "left.matrix", "a b -> b a")' in tab.input_value("#export textarea")
        assert tab.inner_text("#tab-settle") == "To settle (0)"
        rules = download(tab, tmp_path)
    assert run([*arguments, "--rules", rules]) == 0


def test_the_rules_given_before_are_exported_again(started, tmp_path):
    arguments = written(tmp_path)
    (tmp_path / "old.toml").write_text('[[kind]]\npattern = "tok"\nkind = "embedding"\n')
    assert run([*arguments, "--rules", tmp_path / "old.toml", "--html", tmp_path / "page.html"]) == 1
    with opened(started, tmp_path / "page.html") as tab:
        tab.click("#tab-settle")
        tab.get_by_label('Kind("h.{i}.out_proj", "linear")').check()
        rules = download(tab, tmp_path)
    assert run([*arguments, "--rules", rules]) == 0


def test_a_rule_of_ones_own_is_taken_if_it_is_one(started, tmp_path):
    arguments = written(tmp_path, {"tok.weight": zeros(50, 16)})
    run([*arguments, "--html", tmp_path / "page.html"])
    with opened(started, tmp_path / "page.html") as tab:
        tab.click("#tab-settle")
        tab.get_by_label("another rule").check()
        own = tab.get_by_label("your own rule")
        own.fill("nonsense")
        assert tab.inner_text("#tab-settle") == "To settle (1)"
        own.fill('Drop("tok.weight", why="it\'s no \\"use\\"")')
        assert tab.inner_text("#tab-settle") == "To settle (0)"
        rules = download(tab, tmp_path)
    assert run([*arguments, "--rules", rules]) == 0


def test_a_filter_shows_both_sides_of_what_it_finds_and_escape_clears_it(started, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(ms.make_plan(STATE, to="nnx").to_html())
    with opened(started, page, viewport={"width": 1200, "height": 800}) as tab:
        tab.keyboard.press("/")
        tab.keyboard.type("fc.bias h.1")
        assert rows(tab, "left") == ["h.1.fc.bias"] or "bias" in rows(tab, "left")[-1]
        assert any("bias" in name for name in rows(tab, "right"))
        assert tab.inner_text("#filter output").startswith("2 of")
        tab.keyboard.press("Escape")
        assert tab.inner_text("#filter output") == ""
        assert len(rows(tab, "left")) > 5
        tab.fill("#filter input[type=search]", "zorp")
        assert "nothing" in tab.inner_text("#filter output")


def test_all_of_it_is_reached_by_keys(started, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(16, 32)\n\n    def forward(self, x):\n        return self.fc(x)\n"
    )
    arguments = written(tmp_path, {"fc.weight": zeros(32, 16), "fc.bias": zeros(32)})
    arguments += ["--layers", f"{tmp_path / 'net.py'}:Net", "--html", tmp_path / "page.html"]
    assert run(arguments) == 0
    with opened(started, tmp_path / "page.html") as tab:
        tab.keyboard.press("/")
        tab.keyboard.press("ArrowDown")
        for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
            tab.keyboard.press(key)
        assert tab.get_attribute("#left", "aria-activedescendant")
        selected = tab.locator("#left .row[aria-selected=true]")
        assert selected.locator(".name").inner_text() == "weight"
        assert tab.locator("#right .row.hot .name").all_inner_texts() == ["kernel"]
        tab.keyboard.press("Enter")
        assert tab.inner_text("#equation") == "out in -> in out"
        assert tab.inner_text("#evidence") == "self.fc = nn.Linear(16, 32)"
        tab.keyboard.press("Escape")
        assert not tab.is_visible("#details")
        tab.keyboard.press("ArrowLeft")
        tab.keyboard.press("ArrowLeft")
        assert tab.get_attribute("#left .row", "aria-expanded") == "false"
        assert tab.locator("#links path").count() == 2  # one for each of what is closed there


def test_values_are_shown_before_and_after_and_nans_are_counted(started, tmp_path):
    state = {"fc.weight": np.linspace(-1, 1, 512, dtype="f4").reshape(32, 16), "fc.bias": zeros(32)}
    state["fc.weight"][3, 3], state["fc.weight"][4, 4] = np.nan, np.inf
    page = tmp_path / "page.html"
    page.write_text(ms.make_plan(state, to="nnx", layers={"fc": "linear"}).to_html(state=state))
    with opened(started, page) as tab:
        tab.locator("#left .row", has_text="weight").click()
        assert tab.locator("#details .histogram").count() == 2
        assert tab.locator("#details .warn").all_inner_texts() == ["1 NaN, 1 infinite"] * 2


ATTACK = "</script><img src=x onerror=alert(1)>"


def test_no_name_is_ever_markup(started, tmp_path):
    names = [
        ATTACK,
        "a'b\"c.weight",
        "<!--<script>.weight",
        "${x}.\\u003c",
        "\u2028.\x7f.\n.weight",
        "__proto__.weight",
    ]
    state = {name: zeros(3 + at, 5) for at, name in enumerate(names)}
    like = {ATTACK + ".<b>": (7, 5), "constructor.kernel": (99, 5)}
    plan = ms.make_plan(state, to="nnx", like=like)
    (tmp_path / "page.html").write_text(
        plan.to_html(state=state, rules=[f'Drop("__proto__.weight", "{ATTACK}")'])
    )
    with opened(started, tmp_path / "page.html") as tab:
        tab.click("#open-all")
        for row in range(tab.locator("#left .row").count()):
            tab.locator("#left .row").nth(row).click()
        assert tab.evaluate("document.querySelectorAll('img, i, pre b').length") == 0
        tab.click("#tab-settle")
        for box in tab.locator("fieldset.unexpected").all():
            if box.get_by_label("leave it out").count():
                box.get_by_label("leave it out").check()
        rules = download(tab, tmp_path)
    read = tomllib.loads(rules.read_text(encoding="utf-8"))["rules"]
    assert f'Drop("__proto__.weight", "{ATTACK}")' in read
    again = ms.make_plan(state, to="nnx", like=like, rules=rules)
    assert not [name for name in again.unexpected if not set("{}*") & set(name)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1400])
def test_nothing_runs_out_of_the_window(started, tmp_path, width, scheme):
    page = tmp_path / "page.html"
    page.write_text(ms.make_plan(LEFT, to="nnx", like=LIKE).to_html(state=LEFT))
    with opened(started, page, viewport={"width": width, "height": 800}, color_scheme=scheme) as tab:
        for view in ("trees", "settle"):
            tab.click(f"#tab-{view}")
            wide = tab.evaluate("document.scrollingElement.scrollWidth")
            assert wide <= width, view
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        tab.click("#scheme")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != paper


def test_sorting_puts_what_is_open_or_large_first_and_the_target_follows(started, tmp_path):
    page = tmp_path / "page.html"
    state = {"a.weight": zeros(2, 2), "b.weight": zeros(64, 64), "c": zeros(3, 3)}
    kinds = {"a": "linear", "b": "linear"}
    like = {"x.kernel": (1, 1), "a.kernel": (2, 2), "b.kernel": (64, 64)}
    page.write_text(ms.make_plan(state, to="nnx", layers=kinds, like=like).to_html())
    with opened(started, page) as tab:
        assert rows(tab, "left")[:2] == ["a.weight", "b.weight"]
        tab.select_option("#sort", "size")
        assert rows(tab, "left")[0] == "b.weight"
        assert rows(tab, "right")[0] == "b.kernel"
        tab.select_option("#sort", "status")
        assert rows(tab, "left")[0] == "c"
        assert rows(tab, "right")[0] == "x.kernel"


TYPED = """async letters => {
    const box = document.querySelector("#filter input[type=search]"), begin = performance.now();
    box.value = letters;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - begin;
}"""


def test_ten_thousand_tensors_load_at_once_and_are_searched_as_one_types(started, tmp_path):
    names = ("weight", "bias", "scale", "shift", "gain")
    state = {f"h.{i}.norm{j}.{name}": zeros(4) for i in range(1000) for j in range(2) for name in names}
    page = tmp_path / "page.html"
    plan = ms.make_plan(state, to="nnx")
    page.write_text(plan.to_html())
    with opened(started, page) as tab:
        loaded = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        times = [tab.evaluate(TYPED, "norm1.bias h.77"[: at + 1]) for at in range(15)]
        assert tab.inner_text("#filter output").endswith(f"of {len(state) + len(plan.outputs):,}")
        assert tab.locator(".row").count() < 200
    assert loaded < 1500
    assert statistics.median(times) < 100
