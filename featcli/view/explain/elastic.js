"use strict";

// A filter of several channels as a whole: what each map that comes in gives alone, their sum, the
// bias, the activation and the result, as maps side by side with the same window marked in all.

const MOST_ROWS_SHOWN = 6;
const THUMB = 92;
let stretched = null; // what is shown now: { key, ... }
let isWhole = false; // whether each map has a line of its own, however many there are

/** What one filter makes of each of its maps alone; a Float64Array of the result's size for each. */
function intermediates(at, place) {
  const { rule, inputs: [input], weights, rests } = at;
  const filter = rule.filters[place];
  const { rows, cols } = rule.windows[filter.windows];
  let next = at.starts[place];
  const parts = filter.sources.map((channel) => {
    const taps = weights.slice(next, (next += rows[0].length * cols[0].length));
    const plane = planeOf(input.layer, input.values, input.layer.channels.indexOf(channel));
    return { channel, taps, values: slid(plane, input.layer.shape[1], rows, cols, taps) };
  });
  const area = rows.length * cols.length;
  const rest = filter.rest === null ? null : Float64Array.from(rests.subarray(filter.rest * area, (filter.rest + 1) * area));
  return { parts, rest, hidden: filter.hidden, bias: filter.bias };
}

/** Slide taps over a plane, by tables of which row and column each tap lies on. */
function slid(plane, width, rows, cols, taps) {
  const found = new Float64Array(rows.length * cols.length);
  const wide = cols[0].length;
  rows.forEach((down, r) => cols.forEach((across, c) => {
    let sum = 0;
    for (let i = 0; i < down.length; i += 1) {
      if (down[i] < 0) continue;
      for (let j = 0; j < wide; j += 1) {
        if (across[j] >= 0 && taps[i * wide + j] !== 0) sum += plane[down[i] * width + across[j]] * taps[i * wide + j];
      }
    }
    found[r * cols.length + c] = sum;
  }));
  return found;
}

/** The sum of several maps, cell by cell. */
function added(maps, size) {
  const found = new Float64Array(size);
  for (const one of maps) for (let i = 0; i < size; i += 1) found[i] += one[i];
  return found;
}

/** Show, or bring up to date, the way from all maps to this one. */
async function elastic(view) {
  const { at, found } = view;
  const box = $("elastic");
  const fits = at.rule.kind === "sum" && found && (found.parts.length > 1 || found.hidden > 0);
  box.hidden = !fits;
  if (!fits) return;
  const key = `${at.number}/${state.place}/${isWhole}`;
  if (stretched?.key !== key) {
    stretched = { key, ...stretch(view) };
    box.replaceChildren(make("h3", {}, "All maps that come in, at once"), make("p", { class: "what" }, stretched.text), stretched.node);
  }
  await Promise.all(stretched.cells.map((one) => one.draw(view)));
}

/** Compute everything once for a map, and lay it out. */
function stretch(view) {
  const { at } = view;
  const { rows, cols } = extent(at.layer);
  const { parts, rest, hidden, bias } = intermediates(at, state.place);
  const ranked = [...parts].sort((a, b) => reachOf(b.values) - reachOf(a.values));
  const shown = isWhole ? ranked : ranked.slice(0, MOST_ROWS_SHOWN);
  const others = [...ranked.slice(shown.length).map((one) => one.values), ...(rest ? [rest] : [])];
  const together = others.length ? added(others, rows * cols) : null;
  const sum = added(parts.map((one) => one.values).concat(rest ? [rest] : []), rows * cols);
  const biased = sum.map((x) => x + bias);
  const reach = Math.max(...[sum, ...shown.map((one) => one.values)].map(reachOf)) || 1;
  const drawn = { lo: -reach, hi: reach, cmap: "coolwarm" };
  const cells = [];
  const map = (name, values, scale = drawn) => thumb(cells, name, rows, cols, () => painted(values, rows, cols, scale), values);
  const lines = shown.map((part) => sourceLine(at, part, cells, map));
  const count = ranked.length - shown.length + hidden;
  if (together) lines.push(make("div", { class: "strand" }, make("span", { class: "rest" }, `the other ${count} maps`), map("together", together)));
  if (ranked.length > MOST_ROWS_SHOWN) lines.push(wholeButton(ranked.length, hidden));
  const end = [make("span", { class: "sign" }, "Σ"), map("sum", sum)];
  if (bias) end.push(make("span", { class: "sign" }, `+ ${signed(bias)}`), map("with the bias", biased, scaleOf(biased, true)));
  if (at.rule.activation) end.push(make("span", { class: "sign" }, at.rule.activation.name), resultThumb(cells, at));
  const text = `Each map that comes in is multiplied with its own kernel alone; the maps that this gives are added${bias ? ", and the bias to every cell" : ""}. Blue to red is ${short(-reach)} to ${short(reach)} in all maps up to the sum.`;
  return { text, cells, node: make("div", { class: "elastic" }, make("div", { class: "strands" }, ...lines), make("div", { class: "end" }, ...end)) };
}

/** A button that gives each map a line of its own, or takes it away. */
function wholeButton(count, hidden) {
  const text = isWhole ? `Only the ${MOST_ROWS_SHOWN} strongest` : `All ${count} maps${hidden ? " that are on this page" : ""}`;
  return make("button", { type: "button", class: "copy", onclick: () => { isWhole = !isWhole; show(); } }, text);
}

/** One strand: the map, its kernel, and what they give. */
function sourceLine(at, { channel, taps, values }, cells, map) {
  const { layer, number } = at.inputs[0];
  const place = layer.channels.indexOf(channel);
  const name = called(layer, channel);
  const filter = at.rule.filters[state.place];
  const { rows: down, cols: across } = at.rule.windows[filter.windows];
  const [rows, cols] = layer.shape;
  const marks = (view) => ({ rows: view.found.rows, cols: view.found.cols });
  const figure = thumb(cells, name, rows, cols, () => pictureOf(number, place), planeOf(layer, at.inputs[0].values, place), marks,
    () => open(number, place));
  return make("div", { class: "strand" }, figure, make("span", { class: "sign" }, "×"),
    kernelThumb(taps, down[0].length, across[0].length), make("span", { class: "sign" }, "="), map(`from ${name}`, values));
}

/** A kernel as coloured cells, with its numbers to read where there is room. */
function kernelThumb(taps, rows, cols) {
  const most = reachOf(taps);
  const cell = (x) => make("td", { style: { background: tint(x, most) }, title: exact(x) }, rows * cols <= 9 ? short(x, 2) : "");
  const lines = Array.from({ length: rows }, (_, i) => make("tr", {}, ...Array.from(taps.slice(i * cols, (i + 1) * cols), cell)));
  return make("table", { class: "mini" }, make("tbody", {}, ...lines));
}

/** A small map that marks the cell, says its value, and follows the pointer. */
function thumb(cells, name, rows, cols, picture, values, marks = null, go = null) {
  const canvas = make("canvas", { role: "img", "aria-label": name });
  const number = make("b", { class: "value" });
  const label = go ? make("button", { type: "button", class: "copy", onclick: go }, name) : name;
  const figure = make("figure", { class: "thumb" }, canvas, make("figcaption", {}, label, " ", number));
  canvas.addEventListener("pointermove", (event) => {
    if (state.held || marks) return;
    stop();
    move(...cellAt(event, canvas, rows, cols));
  });
  cells.push({ async draw(view) {
    const here = marks ? marks(view) : { rows: [state.row], cols: [state.col] };
    drawPicture(canvas, await picture(), { rows, cols, marks: here, most: THUMB });
    number.textContent = marks ? "" : short(values[state.row * cols + state.col]);
  } });
  return figure;
}

/** The map itself, as it stands in its row. */
function resultThumb(cells, at) {
  const { rows, cols } = extent(at.layer);
  const place = state.place;
  return thumb(cells, "the result", rows, cols, () => pictureOf(at.number, place), planeOf(at.layer, at.values, place));
}
