"""What `featcli serve` answers: results are featcli's, errors those of the commands."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import png, served

import featcli
from featcli import budget
from featcli.errors import FeatError
from featcli.pipeline import Pipeline
from featcli.serve import page
from featcli.serve.cache import Cache

RANDOM = np.random.default_rng(11)
PHOTO = RANDOM.integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def client():
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def photo(client):
    return client.send("/api/picture", png(PHOTO), "photo.png")[1]["picture"]


def recovered(body: bytes) -> np.ndarray:
    """The values of a PNG that the server drew, by the mapping that is in it."""
    from PIL import Image

    from featcli.view.png import read_info
    from featcli.view.recovery import recover

    return recover(np.asarray(Image.open(io.BytesIO(body))), read_info(io.BytesIO(body)))


@pytest.mark.parametrize(
    "steps",
    [
        ["convolve --kernel vertical"],
        ["convolve --kernel gaussian:sigma=1.5 --stride 2", "relu", "pool --size 3 --kind mean"],
        ["gray", "resize --size 20x30", "flatten"],
        ["split-channels", "convolve --kernel sobel-x --border wrap", "abs"],
    ],
)
def test_every_step_is_what_the_pipeline_gives(client, photo, steps):
    found = client.run(photo, *steps)
    assert found["error"] is None
    frame = featcli.Frame(PHOTO, ("R", "G", "B"))
    for number, step in enumerate(found["steps"], 1):
        wanted = Pipeline(" | ".join(steps[:number])).run(frame)
        assert len(step["parts"]) == len(wanted)
        for part, (said, one) in enumerate(zip(step["parts"], wanted, strict=True)):
            assert tuple(said["shape"]) == one.data.shape
            assert (said["min"], said["max"]) == (one.data.min(), one.data.max())
            assert said["mean"] == pytest.approx(one.data.mean(dtype=np.float64))
            body, mapping = client.map(step["key"], part)
            values = recovered(body)
            half = (mapping["hi"] - mapping["lo"]) / 255 / 2 * 1.0001
            np.testing.assert_allclose(values, one.data, rtol=0, atol=half + 1e-6)


def answered(client, photo, steps, shown):
    """The JSON of an answer that has PNGs, and each PNG by its step's key and its part."""
    asked = {"picture": photo, "steps": [s.split() for s in steps], "shown": shown}
    status, headers, body = client.ask("POST", "/api/run", json.dumps(asked).encode())
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    begin = 4 + int.from_bytes(body[:4], "big")
    found = json.loads(body[4:begin])
    pngs = {}
    for step in found["steps"]:
        for part, said in enumerate(step["parts"]):
            if "drawn" in said:
                pngs[step["key"], part] = body[begin : begin + said["drawn"]["size"]]
                begin += said["drawn"]["size"]
    assert begin == len(body)
    return found, pngs


def test_one_answer_has_the_pictures_that_are_not_shown_already(client, photo):
    steps = ["convolve --kernel sobel-y", "split-channels", "relu"]
    found, pngs = answered(client, photo, steps, [])
    keys = [step["key"] for step in found["steps"]]
    assert list(pngs) == [(keys[0], 0), *((k, part) for k in keys[1:] for part in range(3))]
    for (key, part), body in pngs.items():
        png_, mapping = client.map(key, part)
        assert body == png_
        said = found["steps"][keys.index(key)]["parts"][part]["drawn"]
        assert said == {**mapping, "size": len(body)}
    again, pngs = answered(client, photo, [*steps[:2], "abs"], keys)
    assert list(pngs) == [(again["steps"][2]["key"], part) for part in range(3)]


def test_pictures_beyond_the_bound_are_asked_for(client, photo, monkeypatch):
    _, every = answered(client, photo, ["split-channels"], [])
    size = len(next(iter(every.values())))
    monkeypatch.setattr("featcli.serve.answers._PICTURES", 2 * size)
    _, pngs = answered(client, photo, ["split-channels"], [])
    assert 0 < len(pngs) < len(every)
    assert sum(map(len, pngs.values())) <= 2 * size
    for key, part in every:
        assert client.map(key, part)[0] == every[key, part]


@pytest.mark.parametrize(
    ("steps", "number"),
    [
        ([["pool", "--size", "0"]], 0),
        ([["relu"], ["pool", "--size", "two"]], 1),
        ([["convolve", "--kernel", "vertcal"]], 0),
        ([["convolve"]], 0),
        ([["relu"], ["flatten"], ["pool", "--size", "2"]], 2),
        ([["polo"]], 0),
        ([["relu", "--much"]], 0),
        ([["convolve", "--kernel", "1 2; 3"]], 0),
        ([[]], 0),
    ],
)
def test_an_error_is_that_of_the_command(client, photo, steps, number):
    status, found = client.json("/api/run", picture=photo, steps=steps)
    assert status == 200
    assert found["error"]["step"] == number
    assert len(found["steps"]) == number
    import shlex

    with pytest.raises(FeatError) as stop:
        Pipeline(" | ".join(map(shlex.join, steps)))
    assert found["error"]["message"] == str(stop.value)


def test_what_a_stage_refuses_is_said_at_its_step(client, photo):
    found = client.run(photo, "relu", "pool --size 99", "relu")
    assert found["error"]["step"] == 1
    assert "99 does not fit into 40" in found["error"]["message"]
    assert len(found["steps"]) == 1


@pytest.mark.parametrize(
    "steps",
    [
        ["convolve --kernel vertical --kernel box:3 --border mirror", "relu", "pool --size 2"],
        ["gray", "normalize --mean 100 --std 50", "flatten --order hwc"],
        ["split-channels", "pool --size 2"],
    ],
)
def test_command_and_python_give_the_same(client, tmp_path, monkeypatch, steps):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it's.png").write_bytes(png(PHOTO))
    key = client.picture(tmp_path / "it's.png")
    found = client.run(key, *steps)
    wanted = Pipeline(found["text"]).run(featcli.read("it's.png"))
    names: dict = {}
    exec(found["python"], names)
    got = [one.data for one in names["frames"]] if "frames" in names else [names["x"]]
    for one, two in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, two.data)
    import shlex

    words = shlex.split(found["command"])
    assert words[0] == "featcli"
    done = subprocess.run(
        [sys.executable, "-m", "featcli", *words[1:]], capture_output=True, text=True, check=True
    )
    for path, two in zip(done.stdout.split("\n")[:-1], wanted, strict=True):
        np.testing.assert_array_equal(np.load(path), two.data)


def test_the_command_keeps_the_view(client, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(png(PHOTO))
    asked = {"picture": photo, "steps": [["convolve", "--kernel", "vertical"]], "view": "abs"}
    found = client.json("/api/run", **asked)[1]
    assert "--view abs" in found["command"]
    import shlex

    words = shlex.split(found["command"])[1:]
    subprocess.run([sys.executable, "-m", "featcli", *words], check=True, capture_output=True)
    drawn = client.ask("GET", f"/map/{found['steps'][0]['key']}/0?view=abs")[2]
    from PIL import Image

    wanted = np.asarray(Image.open("photo.vertical.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(drawn))), wanted)


@pytest.mark.parametrize("name", ["classify", "features"])
def test_a_stage_that_takes_a_model_says_where_models_are_chosen(client, photo, name):
    for steps in ([[name]], [[name, "--model", "/etc/passwd"]]):
        found = client.json("/api/run", picture=photo, steps=steps)[1]
        assert "choose one on this page" in found["error"]["message"]


@pytest.mark.slow
def test_all_that_is_kept_stays_within_the_bound():
    """Pictures, results, their PNGs and pages of many uploads, whatever each of them takes."""
    most = 300_000_000
    with served(max_memory=most) as client:
        backend = client.server.answers._backend
        for number in range(14):
            data = RANDOM.integers(0, 256, (900, 1000 + number, 3), np.uint8)
            key = client.send("/api/picture", png(data), "p.png")[1]["picture"]
            assert client.run(key, "convolve --kernel vertical", "relu")["error"] is None
            steps = [["resize", "200"], ["relu"]]
            assert client.json("/api/explain", picture=key, steps=steps, model="")[0] == 200
            assert backend._cached_bytes() <= (most - budget.STARTED) * 0.75


def test_a_saved_pipeline_is_opened_again(client, photo):
    text = client.run(photo, "convolve --kernel 1,2;3,4 --flip", "pool --size 2")["text"]
    status, found = client.json("/api/parse", text=text)
    assert status == 200
    again = client.json("/api/run", picture=photo, steps=found["steps"])[1]
    assert again["text"] == text
    status, found = client.json("/api/parse", text="convolve vertical | pol 2")
    assert status == 400 and "did you mean pool" in found["error"]


def test_every_stage_has_a_form_that_the_grammar_takes(client, photo):
    fixed = {"--kernel": "vertical", "--size": "2", "--mean": "1", "--std": "2"}
    for stage in page.stages():
        words = [stage["name"]]
        for param in stage["params"]:
            if param["required"] and param["option"] in fixed:
                words += [param["option"], fixed[param["option"]]]
            elif param["choices"]:
                words += [param["option"], param["choices"][-1]]
        if stage["name"] == "dense":
            continue
        before = [] if stage["takes"] != "vector" else [["flatten"]]
        found = client.json("/api/run", picture=photo, steps=[*before, words])[1]
        assert found["error"] is None, (words, found["error"])


def test_a_kernel_file_comes_by_upload_and_goes_by_value(client, photo):
    status, found = client.send("/api/kernel-file", b"1,2\n3,4\n", "../../my edge.csv")
    assert (status, found["text"]) == (200, "my_edge=1 2; 3 4")
    steps = [["convolve", "--kernel", found["text"]]]
    assert client.json("/api/run", picture=photo, steps=steps)[1]["error"] is None
    status, found = client.send("/api/kernel-file", b"1,2\n3\n", "bad.csv")
    assert status == 400 and found["error"].startswith("bad.csv: row 2")
    assert "/" not in found["error"]
    assert client.send("/api/kernel-file", b"1", "a.exe")[0] == 400


def test_a_picture_is_classified_and_explained(client, samples):
    key = client.picture(samples / "cat.jpg")
    status, found = client.json("/api/classify", picture=key, model="shipped:imagenet")
    assert status == 200
    assert found["classes"][0][0] == "tiger cat"
    status, found = client.json("/api/explain", picture=key, model="", steps=[["resize", "40"]])
    assert status == 200
    _, _, body = client.ask("GET", f"/explain/{found['page']}")
    assert b"</span>resize</h3>" in body
    one = client.picture(samples / "one.png")
    status, found = client.json("/api/explain", picture=one, model="shipped:zero-one", steps=[])
    assert status == 200
    assert b"</span>hidden</h3>" in client.ask("GET", f"/explain/{found['page']}")[2]


def test_an_own_model_comes_by_upload_or_by_the_command_line(samples, tmp_path):
    from featcli.models.loading import SHIPPED

    path = tmp_path / "mine.npz"
    path.write_bytes((SHIPPED / "zero-one.npz").read_bytes())
    with served(models=(str(path),)) as client:
        one = client.picture(samples / "one.png")
        wanted = client.json("/api/classify", picture=one, model="shipped:zero-one")
        assert wanted[0] == 200
        assert client.json("/api/classify", picture=one, model="given:mine.npz") == wanted
        status, sent = client.send("/api/model", path.read_bytes(), "mine.npz")
        assert status == 200
        assert client.json("/api/classify", picture=one, model=sent["id"]) == wanted
        status, found = client.send("/api/model", b"PK broken", "mine.npz")
        assert status == 400 and "mine.npz" in found["error"] and "/" not in found["error"]


def test_two_tabs_do_not_disturb_each_other(client, samples):
    pictures = [samples / "one.png", samples / "zero.png"]
    steps = [["pool --size 2"], ["convolve --kernel 1,2;3,4", "flatten"]]
    wanted = [
        Pipeline(" | ".join(s)).run(featcli.read(p))[0].data.tolist()
        for p, s in zip(pictures, steps, strict=True)
    ]
    wrong: list[object] = []

    def tab(which: int) -> None:
        for _ in range(15):
            key = client.picture(pictures[which])
            found = client.run(key, *steps[which])
            values = wanted[which]
            said = found["steps"][-1]["parts"][0]
            if (said["min"], said["max"]) != (np.min(values), np.max(values)):
                wrong.append(found)

    tabs = [threading.Thread(target=tab, args=(which,)) for which in (0, 1, 0, 1)]
    for one in tabs:
        one.start()
    for one in tabs:
        one.join(120)
    assert not wrong


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60)), max_size=40))
def test_a_cache_never_holds_more_than_it_may(things):
    cache: Cache[tuple[str, int]] = Cache(100, lambda thing: thing[1])
    known: dict[str, int] = {}
    for name, size in things:
        cache.put(name, (name, size))
        if cache.get(name) is not None:
            known.setdefault(name, size)
        assert cache.held <= 100
        assert cache.get(name) is not None
    cache.keep_newest()
    assert len(cache) == min(1, len(things))
    assert cache.held == sum(thing[1] for name in known if (thing := cache.get(name)))
    assert not things or cache.get(things[-1][0]) is not None


def test_older_pictures_make_room_for_what_is_computed():
    with served(max_memory=300_000_000) as client:
        pictures = [RANDOM.integers(0, 256, (1600, 1700 + k, 3), np.uint8) for k in range(6)]
        keys = [client.send("/api/picture", png(one), "p.png")[1]["picture"] for one in pictures]
        backend = client.server.answers._backend
        backend._free_memory(165_000_000)
        assert len(backend._pictures) == 1
        assert client.run(keys[-1], "relu")["error"] is None
        with pytest.raises(FeatError, match="--max-memory 300 MB"):
            backend._free_memory(210_000_000)


def test_memory_is_bounded_and_a_forgotten_picture_is_asked_for_again():
    room = 90_000_000 + 4 * 400_000
    with served(max_memory=room) as client:
        pictures = [RANDOM.integers(0, 256, (200, 300, 3), np.uint8) for _ in range(6)]
        keys = [client.send("/api/picture", png(one), "p.png")[1]["picture"] for one in pictures]
        status, found = client.json("/api/run", picture=keys[0], steps=[["gray"]])
        assert status == 410 and found["gone"] and "send it again" in found["error"]
        assert client.json("/api/run", picture=keys[-1], steps=[["gray"]])[0] == 200
        steps = [["resize", "--size", "5000x5000"]]
        found = client.json("/api/run", picture=keys[-1], steps=steps)[1]
        assert "--max-memory" in found["error"]["message"]
        huge = client.send("/api/picture", png(np.zeros((900, 900, 3), np.uint8)), "huge.png")
        assert huge[0] == 400 and "huge.png" in huge[1]["error"]


def test_results_that_are_not_kept_are_drawn_all_the_same():
    with served(max_memory=90_000_000 + 4 * 3_000_000) as client:
        data = RANDOM.integers(0, 256, (500, 500, 3), np.uint8)  # its maps take 3 MB each
        key = client.send("/api/picture", png(data), "photo.png")[1]["picture"]
        steps = ["convolve --kernel vertical", "relu", "abs", "pool --size 2"]
        for view in ("auto", "abs"):
            words = [one.split() for one in steps]
            found = client.json("/api/run", picture=key, steps=words, view=view)[1]
            assert found["error"] is None
            for step in found["steps"]:
                assert client.ask("GET", f"/map/{step['key']}/0?view={view}")[0] == 200
        cache = client.server.answers._backend._results
        assert cache.held <= 3_000_000


def test_a_page_that_would_be_too_large_is_refused_before_it_is_made(client):
    key = client.send("/api/picture", png(np.zeros((2500, 3000, 3), np.uint8)), "big.png")[1]
    asked = {"picture": key["picture"], "model": ""}
    status, found = client.json("/api/explain", steps=[["relu"]], **asked)
    assert status == 400 and "begin with 'resize'" in found["error"]
    assert client.json("/api/explain", steps=[["resize", "50"], ["relu"]], **asked)[0] == 200


def test_a_large_result_is_drawn_by_some_of_its_rows(client):
    data = np.zeros((2000, 2000), np.uint8)
    data[::2] = 255
    key = client.send("/api/picture", png(data), "large.png")[1]["picture"]
    body, mapping = client.map(client.run(key, "relu")["steps"][0]["key"])
    assert mapping["every"] == 2
    assert recovered(body).shape[:2] == (1000, 1000)


def test_what_is_not_finite_is_valid_json(client):
    stream = io.BytesIO()
    np.save(stream, np.array([[np.nan, np.inf], [1, -2]], np.float32))
    status, found = client.send("/api/picture", stream.getvalue(), "odd.npy")
    assert status == 200 and (found["min"], found["max"], found["odd"]) == (-2, 1, 2)
    stream = io.BytesIO()
    np.save(stream, np.full((2, 2), np.nan))
    status, found = client.send("/api/picture", stream.getvalue(), "none.npy")
    assert status == 200 and found["min"] is None
    json.dumps(client.run(found["picture"], "relu"), allow_nan=False)
