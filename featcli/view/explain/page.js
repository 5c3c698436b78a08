"use strict";

// What a person does with the page: open a map, move over its cells, hold one, play, copy.

const dialog = $("detail");
const after = $("after").querySelector("canvas");
const state = {
  at: null, place: 0, row: 0, col: 0, source: 0, held: false, timer: null, way: [], turn: 0, noted: null, origins: [],
};

/** Open the detail of a map, at a cell or where its value is strongest. */
async function open(number, place, row, col) {
  const turn = ++state.turn;
  clearTimeout(state.noted);
  if (typeof DecompressionStream === "undefined") {
    window.alert("This browser is too old to unpack the numbers; the pictures and tables are all there.");
    return;
  }
  const at = await loaded(number);
  if (turn !== state.turn) return;
  Object.assign(state, { at, place: Math.min(place, at.layer.channels.length - 1), source: null, held: false });
  stop();
  heading(at);
  if (!dialog.open) dialog.showModal();
  const [r, c] = row === undefined ? strongestOf(at, state.place) : [row, col];
  await move(r, c);
  after.focus({ preventScroll: true });
}

/** The cell where a map is strongest: the largest magnitude, of a vector the largest value. */
function strongestOf({ layer, values }, place) {
  if (!values) return [0, 0];
  const { cols } = extent(layer);
  const isMap = layer.shape.length === 3;
  const best = strongestIn(planeOf(layer, values, place), isMap ? cols : 0);
  return [Math.floor(best / cols), best % cols];
}

/** The index of the strongest value; of equal ones in a map (cols wide) that nearest to the middle. */
function strongestIn(plane, cols) {
  const size = cols ? Math.abs : (x) => x;
  const middle = [plane.length / Math.max(1, cols) / 2, cols / 2];
  const away = (i) => (cols ? Math.hypot(Math.floor(i / cols) - middle[0], (i % cols) - middle[1]) : i);
  let best = 0;
  for (let i = 1; i < plane.length; i += 1) {
    const [now, then] = [size(plane[i]), size(plane[best])];
    if (now > then || Number.isNaN(then) || (now === then && away(i) < away(best))) best = i;
  }
  return best;
}

/** The row of a layer on the page: that of its name, whichever picture it is of. */
const rowOf = (number) => $(`layer${number % depth}`);

/** Fold the lesson on this kind of layer in, below everything. */
function lesson(kind) {
  const found = $(`lesson-${kind}`)?.cloneNode(true);
  if (found) found.removeAttribute("id");
  found?.querySelector(".road")?.remove();
  $("lesson").replaceChildren(...(found ? [found] : []));
}

/** Fill in what belongs to the layer, not to the cell. */
function heading({ number, layer }) {
  const row = rowOf(number);
  $("detail-title").textContent = layer.title.startsWith(layer.name) ? layer.title : `${layer.name}: ${layer.title}`;
  $("detail-what").textContent = row.querySelector(".what").textContent;
  $("map").replaceChildren(...layer.channels.map((channel, place) => make("option", { value: place }, called(layer, channel))));
  const vector = layer.shape.length === 1;
  $("earlier").disabled = number % depth === 0;
  $("later").disabled = number % depth === depth - 1;
  $("picture").value = Math.floor(number / depth);
  lesson(layer.lesson);
  $("map-label").hidden = vector;
  $("col-label").hidden = vector;
  $("row-label").firstElementChild.textContent = vector ? "index" : "row";
  const { rows, cols } = extent(layer);
  $("row").max = vector ? layer.shape[0] - 1 : rows - 1;
  $("col").max = cols - 1;
}

/** Go to a cell; beyond an edge the nearest one is taken. */
async function move(row, col) {
  const { layer } = state.at;
  const { rows, cols } = extent(layer);
  const clamp = (x, count) => Math.min(Math.max(Math.round(x) || 0, 0), count - 1);
  let [r, c] = [clamp(row, rows), clamp(col, cols)];
  if (layer.shape.length === 1 && r * cols + c >= layer.shape[0]) {
    [r, c] = [Math.floor((layer.shape[0] - 1) / cols), (layer.shape[0] - 1) % cols];
  }
  Object.assign(state, { row: r, col: c });
  await show();
}

/** Show the cell: both maps, and the calculation. */
async function show() {
  const { at, place, row, col } = state;
  const { layer } = at;
  const found = computed(at, place, row, col);
  const value = valueAt(at, place, row, col);
  const vector = layer.shape.length === 1;
  $("map").value = place;
  progress();
  $("row").value = vector ? row * layer.wrap + col : row;
  $("col").value = col;
  note(`#layer${at.number}/${place}/${row}/${col}`);
  if (found?.parts && layer.kind === "sum" && !found.parts.some((part) => part.channel === state.source)) {
    state.source = [...found.parts].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum))[0]?.channel ?? null;
  }
  const text = at.values ? exact(value, layer.double) : "not on this page";
  const view = { at, found, source: state.source, text, look: (channel) => { state.source = channel; show(); } };
  const nodes = found ? PANELS[at.rule.kind](view) : plain(view);
  $("calculation").replaceChildren(...nodes, copyButton());
  await Promise.all([drawAfter(view), drawBefore(view)]);
  elastic(view);
}

/** Put the cell into the address once it has been rested on: browsers allow few changes of it. */
function note(address) {
  clearTimeout(state.noted);
  state.noted = setTimeout(() => history.replaceState(null, "", address), 600);
}

/** A layer without a rule by cells: its value is all there is to say. */
function plain(view) {
  return [line("the cell: ", cellValue(view))];
}

async function drawAfter({ at, text }) {
  const { place, row, col } = state;
  const { layer } = at;
  const index = row * (layer.wrap || 0) + col;
  const name = layer.shape.length === 1
    ? layer.names[index] || `index ${index}`
    : `${called(layer, layer.channels[place])}, row ${row}, column ${col}`;
  after.setAttribute("aria-label", `${layer.name}: ${name}: ${text}. The arrow keys move the cell.`);
  $("after").querySelector("figcaption").textContent = `${layer.name}, ${name}: ${text}`;
  await drawMap(after, at.number, place, { rows: [row], cols: [col] }, cellText(at, place));
}

/** The cell of the result under the pointer. */
function pointed(event) {
  const { rows, cols } = extent(state.at.layer);
  return cellAt(event, after, rows, cols);
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function key(event) {
  if (event.target.matches("input, select, textarea") || !STEPS[event.key]) return;
  const [down, across] = STEPS[event.key];
  event.preventDefault();
  stop();
  move(state.row + down, state.col + across);
}
