"use strict";

// The steps as cards: the form, what the step gave, and where it stands in the row.

/** Make the card of a step. */
function cardOf(step) {
  const button = (name, text, act) => make("button", { type: "button", class: "copy", "aria-label": `${name}: ${step.name}`, title: name, onclick: act }, text);
  const bar = make("span", { class: "bar-of" }, button("earlier", "↑", () => shift(step, -1)), button("later", "↓", () => shift(step, 1)),
    button("leave out", "×", () => remove(step)));
  step.result = make("div", { class: "result-of" });
  step.problem = make("p", { class: "problem", role: "alert" });
  step.card = make("li", { class: "layer step" }, make("header", {}, make("h3", {}, step.name), make("span", { class: "facts" }, step.stage.summary), bar),
    formOf(step, changed), step.problem, step.result);
  return step.card;
}

/** Put the cards in the order of the steps. */
function arrange() {
  $("steps").replaceChildren(...work.steps.map((step) => step.card));
  changed();
}

function add(step) {
  cardOf(step);
  work.steps.push(step);
  arrange();
}

function shift(step, by) {
  const at = work.steps.indexOf(step);
  const to = at + by;
  if (to < 0 || to >= work.steps.length) return;
  work.steps.splice(at, 1);
  work.steps.splice(to, 0, step);
  arrange();
}

function remove(step) {
  work.steps.splice(work.steps.indexOf(step), 1);
  arrange();
}

const say = (x) => (x === null ? "no number" : String(Number(x.toPrecision(5))));

/** Shape, type and range of an array, in words. */
function facts({ shape, dtype, min, max, mean, odd }) {
  const strange = odd ? `, ${odd} not finite` : "";
  return `${shape.join(" × ")} ${dtype}, ${say(min)} to ${say(max)}, mean ${say(mean)}${strange}`;
}

/** Show what a step gave, unless it is shown already. */
async function showResult(step, found, index) {
  if (step.key === found.key) return;
  const parts = await Promise.all(found.parts.map((part, number) => pictureOfPart(found.key, number, part)));
  step.key = found.key;
  const old = [...step.result.querySelectorAll("figure")];
  const figures = parts.map((drawn, i) => (old.length === parts.length ? old[i] : make("figure", { class: "shown" }, make("canvas", { role: "img" }), make("figcaption", {}))));
  figures.forEach((figure, i) => fill(figure, parts[i], found.parts[i], step.name));
  const open = make("button", { type: "button", onclick: () => explainStep(index) }, "Explain this layer");
  step.result.replaceChildren(...figures, make("p", { class: "tools" }, open));
}

/** Draw an array, small ones enlarged, with the value under the pointer. */
function fill(figure, { bitmap, mapping }, part, name) {
  const [canvas, caption] = figure.children;
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const times = Math.max(1, Math.floor(320 / Math.max(bitmap.width, bitmap.height)));
  Object.assign(canvas.style, { width: times > 1 ? `${bitmap.width * times}px` : "", imageRendering: times > 1 ? "pixelated" : "auto" });
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0);
  const text = [part.part, facts(part), mapping.every > 1 ? `1 of ${mapping.every} rows and columns is drawn` : ""].filter(Boolean).join(": ");
  canvas.setAttribute("aria-label", `what ${name} gave: ${text}`);
  caption.textContent = text;
  canvas.onpointerleave = () => { caption.textContent = text; };
  canvas.onpointermove = (event) => { caption.textContent = valueUnder(event, canvas, mapping) || text; };
}

/** What the pixel under the pointer stands for, by the mapping, to half a level; cells show theirs. */
function valueUnder(event, canvas, { lo, hi, layout, every, cells }) {
  if (cells || (layout !== "map" && layout !== "colour")) return "";
  const [row, col] = cellAt(event, canvas, canvas.height, canvas.width);
  const levels = canvas.getContext("2d").getImageData(col, row, 1, 1).data;
  const value = (level) => say(lo + ((hi - lo) * level) / 255);
  const shown = layout === "colour" ? [0, 1, 2].map((i) => value(levels[i])).join(", ") : value(Math.max(levels[0], levels[1], levels[2]));
  return `row ${row * every}, column ${col * every}: about ${shown}`;
}

/** Open the page of explain at the layer of a step. */
async function explainStep(index) {
  const before = work.counts.slice(0, index).reduce((sum, count) => sum + count, 1);
  await openPage({ picture: work.picture, steps: work.steps.slice(0, work.counts.length).map(wordsOf) }, `#layer${before}`, "error");
}

/** Have a page made, and open it in a tab of its own. */
async function openPage(asked, place, problem) {
  $(problem).textContent = "";
  try {
    const { page } = await ask("/api/explain", asked);
    const address = `/explain/${page}?token=${encodeURIComponent(token)}${place}`;
    if (!window.open(address)) $(problem).replaceChildren(make("a", { href: address, target: "_blank" }, "Open the explanation"));
  } catch (error) {
    $(problem).textContent = error.message;
  }
}
