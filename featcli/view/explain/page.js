"use strict";

// What a person does with the page: open a map, move over its cells, hold one, play, copy.

const $ = (id) => document.getElementById(id);
const dialog = $("detail");
const after = $("after").querySelector("canvas");
const state = { at: null, place: 0, row: 0, col: 0, source: 0, held: false, timer: null, turn: 0, noted: null, origins: [] };

/** Open the detail of a map, at a cell or in the middle. */
async function open(number, place, row, col) {
  const turn = ++state.turn;
  clearTimeout(state.noted);
  if (typeof DecompressionStream === "undefined") {
    window.alert("This browser is too old to unpack the numbers; the pictures and tables are all there.");
    return;
  }
  const at = await loaded(number);
  if (turn !== state.turn) return;
  const { rows, cols } = extent(at.layer);
  const start = at.layer.shape.length === 1 ? [0, strongestOf(at)] : [Math.floor(rows / 2), Math.floor(cols / 2)];
  Object.assign(state, { at, place: Math.min(place, at.layer.channels.length - 1), source: null, held: false });
  heading(at);
  if (!dialog.open) dialog.showModal();
  const from = at.layer.shape.length === 1 && row === undefined
    ? [Math.floor(start[1] / at.layer.wrap), start[1] % at.layer.wrap] : [row ?? start[0], col ?? start[1]];
  await move(...from);
  after.focus({ preventScroll: true });
}

/** The index of the largest value: where to begin in a vector. */
function strongestOf(at) {
  return at.values ? at.values.reduce((best, x, i) => (x > at.values[best] ? i : best), 0) : 0;
}

/** Fill in what belongs to the layer, not to the cell. */
function heading({ number, layer }) {
  const row = $(`layer${number}`);
  $("detail-title").textContent = layer.title.startsWith(layer.name) ? layer.title : `${layer.name}: ${layer.title}`;
  $("detail-what").textContent = row.querySelector(".what").textContent;
  $("map").replaceChildren(...layer.channels.map((channel, place) => make("option", { value: place }, called(layer, channel))));
  const vector = layer.shape.length === 1;
  $("earlier").disabled = number === 0;
  $("later").disabled = number === layers.length - 1;
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
  after.setAttribute("aria-label", `${layer.name}: ${name}: ${text}`);
  $("after").querySelector("figcaption").textContent = `${layer.name}, ${name}: ${text}`;
  await drawMap(after, at.number, place, { rows: [row], cols: [col] }, cellText(at, place));
}

/** What the cell comes from: maps of the layers before, with their cells marked. */
function origins({ at, found, source }) {
  const here = { rows: [state.row], cols: [state.col] };
  const channel = at.layer.channels[state.place];
  if (!at.inputs.length || !found) return at.inputs.map((input) => ({ input, channel: input.layer.channels[0], marks: null }));
  const [input] = at.inputs;
  const window = { rows: found.rows, cols: found.cols };
  switch (at.rule.kind) {
    case "sum": {
      const shown = found.parts.length <= MOST_TABLES ? found.parts.map((part) => part.channel) : [source];
      return shown.map((one) => ({ input, channel: one, marks: window }));
    }
    case "pool": return [{ input, channel, marks: window }];
    case "pick": return [{ input, channel: found.channel, marks: window }];
    case "flatten": return [{ input, channel: found.channel, marks: { rows: [found.row], cols: [found.col] } }];
    case "dense": return [{ input, channel: 0, marks: null }];
    case "softmax": return [{ input, channel, marks: here }];
    case "concat": {
      const isVector = at.layer.shape.length === 1;
      return [{ input: at.inputs[found.from], channel: isVector ? 0 : found.channel, marks: isVector ? null : here }];
    }
    default: return at.inputs.map((one) => ({ input: one, channel, marks: here }));
  }
}

/** Whether the page holds a map. */
const isHere = ({ input, channel }) => input.layer.shape.length === 1 || input.layer.channels.includes(channel);

/** The name of a map with its layer. */
const fullName = ({ input, channel }) =>
  input.layer.shape.length === 1 ? input.layer.name : `${input.layer.name}, ${called(input.layer, channel)}`;

async function drawBefore(view) {
  const all = origins(view);
  state.origins = all.filter(isHere);
  if (all.length && !state.origins.length) {
    const text = `${fullName(all[0])}, is not among the maps on this page`;
    $("before").replaceChildren(make("p", { class: "hint" }, text));
    return;
  }
  const figures = originFigures(state.origins.map(fullName));
  await Promise.all(state.origins.map(({ input, channel, marks }, i) => {
    const place = Math.max(0, input.layer.channels.indexOf(channel));
    return drawMap(figures[i].querySelector("canvas"), input.number, place, marks, cellText(input, place));
  }));
}

/** A figure for each map; those that are there already stay, so that nothing flickers. */
function originFigures(names) {
  const old = [...$("before").children];
  if (old.length === names.length && names.every((name, i) => name === old[i].textContent)) return old;
  const figures = names.map((name, i) => {
    const button = make("button", { type: "button", class: "copy", title: "Where does it come from?" }, name);
    button.addEventListener("click", () => visit(i));
    return make("figure", {}, make("canvas", { role: "img", "aria-label": name }), make("figcaption", {}, button));
  });
  $("before").replaceChildren(...figures);
  return figures;
}

/** What stands in a cell that is large enough: three digits. */
function cellText(input, place) {
  if (!input.values) return null;
  return (row, col) => {
    const x = valueAt(input, place, row, col);
    return x === undefined ? "" : String(Number(x.toPrecision(3)));
  };
}

/** Go on to a map that the cell comes from, to the cell in the middle of the window. */
function visit(index) {
  const { input, channel, marks } = state.origins[index];
  const middle = (list) => list.filter((i) => i >= 0)[Math.floor((list.filter((i) => i >= 0).length - 1) / 2)];
  open(input.number, Math.max(0, input.layer.channels.indexOf(channel)),
    marks ? middle(marks.rows) : undefined, marks ? middle(marks.cols) : undefined);
}

/** Copy the calculation with all digits, as text that a spreadsheet takes. */
function copyButton() {
  const button = make("button", { type: "button", class: "copy", id: "copy" }, "Copy the numbers");
  button.addEventListener("click", async () => {
    const text = copied();
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const area = make("textarea", { rows: 8, readonly: true, "aria-label": "The numbers" });
      area.value = text;
      button.replaceWith(area);
      area.select();
    }
  });
  return button;
}

/** The tables and lines of the calculation, tabs between cells. */
function copied() {
  const cells = (row) => [...row.cells].map((cell) => cell.title || cell.textContent).join("\t");
  const texts = [$("detail-title").textContent, $("after").querySelector("figcaption").textContent];
  for (const node of $("calculation").querySelectorAll("table, .line")) {
    if (node.matches(".line")) texts.push(node.textContent);
    else texts.push(node.caption?.textContent ?? "", ...[...node.rows].map(cells));
  }
  return texts.join("\n");
}

/** The cell under the pointer. */
function pointed(event) {
  const box = after.getBoundingClientRect();
  const { rows, cols } = extent(state.at.layer);
  return [((event.clientY - box.top) / box.height) * rows, ((event.clientX - box.left) / box.width) * cols].map(Math.floor);
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function key(event) {
  if (event.target.matches("input, select, textarea") || !STEPS[event.key]) return;
  const [down, across] = STEPS[event.key];
  event.preventDefault();
  stop();
  move(state.row + down, state.col + across);
}

/** Let the window run over the map, cell by cell. */
function play() {
  if (state.timer) return stop();
  $("play").textContent = "Pause";
  $("play").setAttribute("aria-pressed", "true");
  state.timer = setInterval(() => {
    const { rows, cols } = extent(state.at.layer);
    const next = (state.row * cols + state.col + 1) % (rows * cols);
    move(Math.floor(next / cols), next % cols);
  }, 350);
  return undefined;
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  $("play").textContent = "Play";
  $("play").setAttribute("aria-pressed", "false");
}

/** Go where the address says: #layer3/0/5/7 is a cell, #layer3 a row. */
function follow() {
  const match = /^#layer(\d+)(?:\/(\d+)(?:\/(\d+)\/(\d+))?)?$/.exec(location.hash);
  const row = match && $(`layer${match[1]}`);
  if (!row) return;
  const block = row.closest("details");
  if (block) block.open = true;
  if (match[2] === undefined) row.scrollIntoView();
  else open(Number(match[1]), Number(match[2]), match[3] && Number(match[3]), match[4] && Number(match[4]));
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

function begin() {
  document.documentElement.classList.add("scripted");
  $("theme").hidden = false;
  for (const button of document.querySelectorAll(".map button")) button.disabled = false;
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".map button");
    if (button) open(Number(button.dataset.layer), Number(button.dataset.place));
  });
  after.addEventListener("pointermove", (event) => { if (!state.held) { stop(); move(...pointed(event)); } });
  after.addEventListener("click", (event) => { state.held = !state.held; stop(); move(...pointed(event)); });
  dialog.addEventListener("keydown", key);
  dialog.addEventListener("close", () => { stop(); note(`#layer${state.at.number}`); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  $("close").addEventListener("click", () => dialog.close());
  $("play").addEventListener("click", play);
  $("theme").addEventListener("click", theme);
  $("earlier").addEventListener("click", () => open(state.at.number - 1, 0));
  $("later").addEventListener("click", () => open(state.at.number + 1, 0));
  $("map").addEventListener("change", () => { state.place = Number($("map").value); show(); });
  $("row").addEventListener("change", () => {
    const { layer } = state.at;
    const value = Number($("row").value);
    if (layer.shape.length === 3) move(value, state.col);
    else move(Math.floor(value / layer.wrap), value % layer.wrap);
  });
  $("col").addEventListener("change", () => move(state.row, Number($("col").value)));
  window.addEventListener("hashchange", follow);
  window.addEventListener("resize", () => { if (dialog.open) show(); });
  follow();
}

begin();
