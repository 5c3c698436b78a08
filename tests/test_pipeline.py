"""The grammar of pipelines, and what it refuses before any file is opened."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featcli
from featcli.errors import FeatError, StageError, UsageError
from featcli.frame import Frame, Source, Step
from featcli.pipeline import Pipeline, caption


def photo():
    data = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    return Frame(data, ("R", "G", "B"), Source("photo", "photo.jpg"))


def test_words_stand_for_options():
    assert (
        Pipeline("convolve vertical | pool 3").steps
        == Pipeline("convolve --kernel vertical | pool --size 3").steps
    )


@pytest.mark.parametrize(
    "text",
    [
        "pool 3 --kind mean",
        "pool --kind mean 3",
        "pool --kind=mean -s 3",
        "pool -s3 --kind mean",
        "pool '3' --kind \"mean\"",
    ],
)
def test_options_may_stand_anywhere_and_be_written_as_in_a_shell(text):
    assert dict(Pipeline(text).steps[0].params) | {} == {
        "size": 3,
        "kind": "mean",
        "stride": None,
        "ceil": False,
        "global_": False,
    }


def test_a_word_may_begin_with_a_minus_sign_and_a_digit_or_a_dot():
    step = Pipeline('convolve "-1 0 1; -1 0 1; -1 0 1" "-.5 .5"').steps[0]
    assert dict(step.params)["kernel"] == ("-1 0 1; -1 0 1; -1 0 1", "-0.5 0.5")


def test_bars_need_no_blanks_around_them():
    assert len(Pipeline("relu|pool 2|flatten").steps) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "step 1 is empty"),
        ("relu | | pool", "step 2 is empty"),
        ("pol 2", r"step 1 \(pol\): no stage 'pol': did you mean pool"),
        ("pool 0", r"step 1 \(pool\): --size: must be a whole number of at least 1, not 0"),
        ("pool two", "'two' is not a whole number"),
        ("pool 2 3", "unexpected argument '3'"),
        ("pool --kind median", "'median' is not one of max, mean, min"),
        ("pool --sise 2", "no option --sise: did you mean --size"),
        ("pool --size", "--size needs a value"),
        ("pool 2 --size 3", "--size is given twice"),
        ("pool --ceil=yes", "--ceil takes no value"),
        ("convolve", "needs --kernel KERNEL"),
        ("convolve vertcal", "unknown kernel 'vertcal'"),
        ("relu | convolve 'vertical", "no closing quotation"),
        ("flatten | pool 2", r"step 2 \(pool\) takes maps, but step 1 \(flatten\) gives a vector"),
        ("convolve vertical | dense w.npz", "w.npz"),
        ("flatten | relu | pool 2", r"step 3 \(pool\) takes maps"),
    ],
)
def test_what_is_wrong_is_named_with_its_step(text, message):
    with pytest.raises(UsageError, match=message):
        Pipeline(text)


def test_a_dense_layer_on_maps_is_refused_with_the_remedy(tmp_path):
    np.save(tmp_path / "w.npy", np.ones((3, 2)))
    with pytest.raises(UsageError, match="put 'flatten' between them"):
        Pipeline(f"pool 2 | dense {tmp_path / 'w.npy'}")


def test_a_stage_that_refuses_its_array_is_named_with_shape():
    with pytest.raises(StageError, match=r"pool --size 11: a window of 11 does not fit into 10"):
        Pipeline("pool 11")(photo())
    with pytest.raises(StageError, match="pool takes maps, not a vector of shape 5"):
        Pipeline("pool")(np.ones(5))


def test_source_labels_part_and_history_travel_along():
    frames = Pipeline("split-channels | convolve vertical | relu").run(photo())
    assert [frame.part for frame in frames] == ["R", "G", "B"]
    assert frames[0].labels == ("vertical.R",)
    assert {frame.source.key for frame in frames} == {"photo"}
    assert [step.stage for step in frames[0].history] == ["split-channels", "convolve", "relu"]


def test_kernel_by_kernel_each_with_every_channel():
    frame = Pipeline("convolve vertical horizontal")(photo())
    assert frame.labels == (
        "vertical.R", "vertical.G", "vertical.B", "horizontal.R", "horizontal.G", "horizontal.B"
    )  # fmt: skip


def test_flattening_drops_the_names_of_channels_unless_each_has_one_value():
    assert Pipeline("flatten")(photo()).labels == ()
    assert Pipeline("pool --global | flatten")(photo()).labels == ("R", "G", "B")


def test_several_parts_are_no_single_result():
    with pytest.raises(ValueError, match="gives 3 parts: use run"):
        Pipeline("split-channels")(photo())


def test_plain_arrays_go_through_a_pipeline_too():
    x = photo().data
    expected = featcli.flatten(featcli.pool(featcli.relu(featcli.convolve(x, "vertical")), 2))
    result = Pipeline("convolve vertical | relu | pool 2 | flatten")(x)
    np.testing.assert_array_equal(result.data, expected)


def test_the_outline_foretells_part_and_history_of_every_result():
    pipeline = Pipeline("convolve vertical | split-channels | relu")
    frames = pipeline.run(photo())
    assert pipeline.outline(photo()) == [(frame.part, frame.history) for frame in frames]


def test_pipelines_and_frames_survive_pickling():
    pipeline = pickle.loads(pickle.dumps(Pipeline("convolve sobel-x | abs")))
    frame = pickle.loads(pickle.dumps(photo()))
    assert frame.labels == ("R", "G", "B") and not frame.data.flags.writeable
    np.testing.assert_array_equal(pipeline(frame).data, pipeline(photo()).data)


def test_a_frame_cannot_be_changed():
    frame = photo()
    with pytest.raises(AttributeError):
        frame.part = "R"
    with pytest.raises(ValueError, match="read-only"):
        frame.data[0, 0, 0] = 1


@given(st.text(max_size=40))
def test_any_text_is_a_pipeline_or_a_usage_error(text):
    try:
        Pipeline(text)
    except FeatError as error:
        assert isinstance(error, UsageError)


def test_a_history_from_elsewhere_has_a_caption_all_the_same():
    unknown = Step.of("sharpen", amount=2, soft=True)
    assert caption([unknown, Step.of("relu")]) == "sharpen --amount 2 --soft | relu"
