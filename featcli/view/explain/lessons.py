"""Short lessons: for each kind of layer what it does, why, its formula, and one exercise.

They are numbered in the order of the article that featcli follows: first the picture as numbers and
what flattening loses, then channels, filters, activations and pooling, at last the dense layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from featcli.trace import Layer, Opaque, Pick
from featcli.view.html import Markup, element, joined

_ARTICLE = "“How Convolutional Neural Networks Extract Features from Images”"


class Lesson(NamedTuple):
    """A lesson on one kind of layer, in plain text."""

    title: str
    what: str
    why: str
    formula: str
    exercise: str


LESSONS: dict[str, Lesson] = {
    "input": Lesson(
        "A picture is numbers",
        "A picture reaches the computer as a matrix: one number for each pixel. A black-and-white "
        "picture has only zeros and ones, a grey one 0 to 255, and a colour picture has three such "
        "matrices, one each for red, green and blue.",
        "Whatever a network does, it does by adding and multiplying these numbers. There is "
        "nothing else in it that could see.",
        "picture = rows × columns × channels",
        "Open the map of one channel and find a pixel that is bright in it. Is it bright in the "
        "other channels too? What colour must the pixel have then?",
    ),
    "flatten": Lesson(
        "Flattening loses the neighbours",
        "All values are written one below the other into a single column, the way one reads: from "
        "left to right, line by line, map after map.",
        "A plain network takes a column of values, one for each of its input neurons. But two "
        "pixels that touch in the picture, one above the other, now lie a whole row apart, and "
        "nothing in the column says that they belong together. With a photo as input this is why "
        "plain networks do badly; after filters and pooling there is less to lose.",
        "index = map × rows × columns + row × columns + column",
        "Take two cells that touch from above to below. How far apart are their indices? Compute "
        "it first, then look.",
    ),
    "pick": Lesson(
        "Channels are pictures of their own",
        "One matrix is taken as it is, and the others are left out: the red, the green or the "
        "blue channel of a colour picture.",
        "Red, green and blue are three matrices of the same size. Each can be looked at alone, and "
        "a filter slides over each of them.",
        "result[row, column] = picture[row, column, channel]",
        "Which channel shows the most contrast, and why that one?",
    ),
    "size": Lesson(
        "All pictures get the same size",
        "The picture is brought to the rows and columns that the network was built for: made "
        "smaller or larger (resize), or cut out of the middle (crop).",
        "A dense layer has one weight for each value that comes in, so it cannot take more values "
        "or fewer. And filters find things of about the size that they were trained on: a cat that "
        "fills the picture, but not one of twenty pixels.",
        "crop: result[row, column] = picture[row + top, column + left]",
        "What has been cut off at the edges? Could it have changed the answer?",
    ),
    "sum": Lesson(
        "A filter looks for one thing everywhere",
        "A small matrix of weights, the kernel, slides over the picture. At each place every "
        "weight is multiplied with the value under it, and the products are added to one number. "
        "In a network, a filter has one kernel for each map that comes in, and everything is "
        "added, with a bias.",
        "The number is large where the picture looks like the kernel, and near zero where it does "
        "not. The kernel -1 0 1 in each row answers to edges that stand upright. It sees "
        "neighbours, it finds the same thing wherever it is, and nine weights are enough for the "
        "whole picture. Training chooses the weights: nobody writes them down.",
        "result[r, c] = Σ over i, j, maps of  weight[i, j, map] × value[r + i, c + j, map]  + bias",
        "In the sandbox below, turn the vertical kernel into one that answers to level edges. How "
        "many of its numbers have to change places?",
    ),
    "activate": Lesson(
        "An activation bends the line",
        "The same function of one number is applied to every cell. ReLU, the usual one, keeps what "
        "is positive and turns the rest into zero.",
        "Sums of sums are only one larger sum: without something that is not a straight line "
        "between them, a hundred layers could do no more than one. ReLU also says: the feature is "
        "here, by so much; or it is not here.",
        "ReLU(x) = max(0, x)",
        "Find a cell that ReLU set to zero. What was it before, and what did the picture show "
        "there: no edge, or one from bright to dark?",
    ),
    "pool": Lesson(
        "Pooling makes the map smaller",
        "The map is cut into small windows, and each becomes one number: its largest value, or "
        "the mean.",
        "A map of half the rows and columns has a quarter of the values, so what follows has less "
        "to compute. And whether the edge lies one pixel further left no longer matters: its "
        "largest value is the same.",
        "result[r, c] = max of the window at (r × stride, c × stride)",
        "Step through the cells of a window in the layer before. Which of them may change without "
        "changing the result, and by how much?",
    ),
    "dense": Lesson(
        "A dense layer weighs all the evidence",
        "Every result is a sum over all values that come in, each times a weight of its own, and "
        "a bias.",
        "The maps say where something was found; the dense layer decides what that means. Features "
        "that speak for a class have positive weights, those that speak against it negative ones.",
        "result[k] = Σ over i of  weight[i, k] × value[i]  + bias[k]",
        "Open the best result and look at its largest contribution. Would the class still win "
        "without it?",
    ),
    "softmax": Lesson(
        "Softmax turns scores into shares",
        "Each score becomes exp(score), and is divided by the sum of all of them.",
        "Scores may be any numbers; shares are positive and add up to 1, so that one can call them "
        "probabilities. A difference in score becomes a ratio of shares.",
        "share[k] = exp(score[k]) / Σ over j of exp(score[j])",
        "Two scores differ by 0.7. What is the ratio of their shares? (exp(0.7) is about 2.)",
    ),
    "affine": Lesson(
        "Bringing values to a common scale",
        "From every value a mean is taken away, and the rest is divided by a spread; a learned "
        "scale and shift may follow.",
        "Weights that were learned on values around zero, about one apart, fail on values of 0 to "
        "255. The same scale before every layer also makes learning faster.",
        "result = (value − mean) ÷ spread × scale + shift",
        "Which value becomes exactly zero here?",
    ),
    "add": Lesson(
        "A shortcut past some layers",
        "What came into a block is added, cell by cell, to what the block has made of it.",
        "The block then only has to find a correction to what is known already. This is what "
        "makes networks of a hundred layers learn at all.",
        "result[r, c, map] = block(x)[r, c, map] + x[r, c, map]",
        "Look for a map in which the block changed almost nothing. How do you see it?",
    ),
    "concat": Lesson(
        "Side by side",
        "The maps, or the values, of several layers are put one after the other.",
        "The next layer can use early, simple features together with late, complex ones.",
        "result = maps of the first layer, then those of the second, ...",
        "To which layer does the last map belong?",
    ),
}  # fmt: skip


def lesson_of(layer: Layer, inputs: Sequence[Layer]) -> str:
    """Return the key of the lesson on a layer; a key that is not in LESSONS if it has none."""
    if isinstance(layer.rule, Pick | Opaque) and len(inputs) == 1:
        before = inputs[0].data
        if layer.data.ndim == before.ndim == 3 and layer.data.shape[:2] != before.shape[:2]:
            return "size"
    return layer.kind


def fold(kind: str, first: bool, present: Iterable[str]) -> Markup | str:
    """Return the lesson on a kind of layer, or a link to it if the page already has it."""
    lesson = LESSONS.get(kind)
    if lesson is None:
        return ""
    if not first:
        link = element("a", f"Lesson: {lesson.title}", href=f"#lesson-{kind}")
        return element("p", link, class_="lesson-link")
    title = element("summary", "Lesson: ", element("b", lesson.title))
    return element(
        "details",
        title,
        _part("What", lesson.what),
        _part("Why", lesson.why),
        element("p", element("b", "Formula"), " ", element("code", lesson.formula)),
        _part("Exercise", lesson.exercise),
        _road(kind, present),
        class_="lesson",
        id=f"lesson-{kind}",
    )


def _part(name: str, text: str) -> Markup:
    return element("p", element("b", name), " ", text)


def _road(kind: str, present: Iterable[str]) -> Markup:
    """Link to the previous and the next lesson on the page, in the order of the article."""
    there = set(present)
    order = [one for one in LESSONS if one in there]
    at = order.index(kind)
    links: list[str] = [
        f"Lesson {at + 1} of {len(order)} on this page, in the order of {_ARTICLE}."
    ]
    for name, neighbour in (("Before it: ", at - 1), ("Next: ", at + 1)):
        if 0 <= neighbour < len(order):
            other = order[neighbour]
            links += [" ", name, element("a", LESSONS[other].title, href=f"#lesson-{other}"), "."]
    return element("p", joined(*links), class_="road")
