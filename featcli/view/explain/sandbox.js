"use strict";

// The sandbox: a kernel, its options and a small picture; the map and the arithmetic at once.

const bench = {
  map: null, kernel: [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], row: 0, col: 0, found: null,
  options: { stride: 1, dilation: 1, padding: "same", border: "reflect", flip: false },
};

const pattern = (rows, cols, value) => ({ rows, cols,
  values: Float32Array.from({ length: rows * cols }, (_, i) => value(Math.floor(i / cols), i % cols)) });

/** What a kernel can be tried on, by name; each gives a map. */
const SUBJECTS = {
  "a bright square": () => pattern(8, 8, (r, c) => (r > 1 && r < 6 && c > 1 && c < 6 ? 9 : 0)),
  "stripes": () => pattern(9, 9, (r, c) => (c % 4 < 2 ? 9 : 0)),
  "one bright cell": () => pattern(7, 7, (r, c) => (r === 3 && c === 3 ? 1 : 0)),
  "numbers in order": () => pattern(6, 6, (r, c) => r * 6 + c),
};

const LONGEST = { "": 160, ", large cells": 32 }; // rows or columns of the page's own pictures

/** The channels of the page's own pictures, each as a picture and in cells that can be told apart. */
async function ownSubjects() {
  if (typeof DecompressionStream === "undefined") return {};
  const found = await Promise.all(given.pictures.map((name, i) => subjectsOf(name, layers[i * depth])));
  return Object.assign({}, ...found);
}

/** Those of one picture, by name: so many of its rows and columns that it is not too large. */
async function subjectsOf(file, layer) {
  if (layer?.shape.length !== 3) return {};
  const values = await numbersOf(layer.values);
  if (!values) return {};
  const [rows, cols] = layer.shape;
  const found = {};
  for (const [name, longest] of Object.entries(LONGEST)) {
    const every = Math.max(1, Math.ceil(Math.max(rows, cols) / longest));
    if (every === 1 && name) continue;
    layer.channels.forEach((channel, place) => {
      const plane = planeOf(layer, values, place);
      found[`${file}: ${called(layer, channel)}${name}`] = () => ({ file, every,
        ...pattern(Math.ceil(rows / every), Math.ceil(cols / every), (r, c) => plane[r * every * cols + c * every]) });
    });
  }
  return found;
}

/** Build the sandbox. */
async function sandbox() {
  const subjects = { ...(await ownSubjects()), ...SUBJECTS };
  const names = Object.keys(subjects);
  const subject = select("picture", names, names[0], (name) => { bench.map = subjects[name](); strongest(); });
  const editor = new KernelEditor(bench.kernel, (rows) => { bench.kernel = rows; named.value = ""; convolve(); });
  const named = select("kernel", ["", ...Object.keys(given.kernels)], "vertical", (name) => {
    if (!given.kernels[name]) return;
    bench.kernel = given.kernels[name];
    editor.set(bench.kernel);
    convolve();
  }, { "": "your own" });
  const options = [whole("stride", 1, 9), whole("dilation", 1, 9), choice("padding", ["same", "valid"]),
    choice("border", BORDERS), flag("flip")];
  const maps = make("div", { class: "stage" }, benchFigure("bench-before", "the picture"),
    make("div", { class: "arrow", "aria-hidden": "true" }, "→"), benchFigure("bench-after", "the feature map"));
  $("bench").replaceChildren(
    make("div", { class: "bench-tools" }, editor.node, make("div", { class: "options" },
      label("picture", subject), label("start from", named), ...options)),
    maps, make("div", { id: "bench-sum", "aria-live": "off" }), make("p", { class: "line" }, make("code", { id: "bench-command" })));
  bench.map = subjects[names[0]]();
  strongest();
}

const label = (name, control) => make("label", {}, `${name} `, control);

function select(name, values, value, changed, titles = {}) {
  const node = make("select", { "aria-label": name }, ...values.map((one) => make("option", { value: one }, titles[one] ?? one)));
  node.value = value;
  node.addEventListener("change", () => changed(node.value));
  return node;
}

const choice = (name, values) => label(name, select(name, values, bench.options[name], (value) => {
  bench.options[name] = value;
  convolve();
}));

function whole(name, least, most) {
  const input = make("input", { type: "number", min: least, max: most, value: bench.options[name], "aria-label": name });
  input.addEventListener("input", () => {
    const value = Number(input.value);
    input.setAttribute("aria-invalid", String(!(Number.isInteger(value) && value >= least)));
    if (Number.isInteger(value) && value >= least) { bench.options[name] = value; convolve(); }
  });
  return label(name, input);
}

function flag(name) {
  const input = make("input", { type: "checkbox", "aria-label": `${name}: turn the kernel by 180 degrees` });
  input.addEventListener("change", () => { bench.options[name] = input.checked; convolve(); });
  return make("label", {}, input, ` ${name}`);
}

/** A map of the sandbox; moving over either of them moves the window. */
function benchFigure(id, name) {
  const canvas = make("canvas", { id, role: "img", "aria-label": name, tabindex: 0 });
  canvas.addEventListener("pointermove", (event) => pointAt(event, canvas));
  canvas.addEventListener("keydown", (event) => {
    const steps = STEPS[event.key];
    if (!steps || !bench.found || bench.found.error) return;
    event.preventDefault();
    go(bench.row + steps[0], bench.col + steps[1]);
  });
  return make("figure", {}, canvas, make("figcaption", {}, name));
}

function pointAt(event, canvas) {
  const { map, found } = bench;
  if (!found || found.error) return;
  if (canvas.id === "bench-after") return go(...cellAt(event, canvas, found.rows, found.cols));
  const [row, col] = cellAt(event, canvas, map.rows, map.cols);
  return go(nearestOf(middles(found.windows.rows), row), nearestOf(middles(found.windows.cols), col));
}

function go(row, col) {
  bench.row = Math.min(bench.found.rows - 1, Math.max(0, row));
  bench.col = Math.min(bench.found.cols - 1, Math.max(0, col));
  drawBench();
}

/** Compute the map, and begin where it is strongest. */
function strongest() {
  bench.found = convolved(bench.map, bench.kernel, bench.options);
  if (!bench.found.error) {
    const { values, cols } = bench.found;
    const best = strongestIn(values, cols);
    [bench.row, bench.col] = [Math.floor(best / cols), best % cols];
  }
  drawBench();
}

/** Compute the map again, with the window where it is. */
function convolve() {
  bench.found = convolved(bench.map, bench.kernel, bench.options);
  if (bench.found.error) drawBench();
  else go(bench.row, bench.col);
}

/** Draw both maps and the arithmetic of the cell. */
function drawBench() {
  const { map, found, row, col } = bench;
  $("bench-command").textContent = benchCommand();
  const scale = scaleOf(map.values);
  const grey = { ...scale, cmap: scale.lo < 0 ? "coolwarm" : "gray" };
  if (found.error) {
    $("bench-sum").replaceChildren(make("p", { class: "line", role: "alert" }, found.error));
    return;
  }
  const window = { rows: found.windows.rows[row], cols: found.windows.cols[col] };
  const text = (plane, cols) => (r, c) => cellNumber(plane[r * cols + c]);
  drawPicture($("bench-before"), painted(map.values, map.rows, map.cols, grey),
    { rows: map.rows, cols: map.cols, marks: window, label: text(map.values, map.cols) });
  drawPicture($("bench-after"), painted(found.values, found.rows, found.cols, scaleOf(found.values)),
    { rows: found.rows, cols: found.cols, marks: { rows: [row], cols: [col] }, label: text(found.values, found.cols) });
  $("bench-after").nextSibling.textContent = `the feature map, ${found.rows} × ${found.cols}`;
  const some = map.every > 1 ? `: 1 of ${map.every} rows and columns` : "";
  $("bench-before").nextSibling.textContent = `the picture, ${map.rows} × ${map.cols}${some}`;
  $("bench-sum").replaceChildren(...arithmetic(window));
}

/** Patch × kernel = products, and their sum, as in the detail of a layer. */
function arithmetic(window) {
  const { map, found, row, col } = bench;
  const patch = window.rows.map((r) => window.cols.map((c) => (r < 0 || c < 0 ? null : map.values[r * map.cols + c])));
  const products = patch.map((line, i) => line.map((x, j) => product(x, found.kernel[i][j])));
  const part = { patch, kernel: found.kernel, products, sum: total(products.flat()) };
  const value = found.values[row * found.cols + col];
  return [equation(`row ${row}, column ${col}`, part), ...beyond({ rows: window.rows, cols: window.cols }), legend(),
    line("sum of the products = ", make("span", { class: "result", id: "bench-cell", "data-value": String(value) }, short(value)))];
}

/** A file's name as a shell takes it. */
const quoted = (name) => {
  const word = name.startsWith("-") ? `./${name}` : name;
  return /^[\w.\/+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
};

/** The same as a command, on the page's own picture or on any. */
function benchCommand() {
  const usual = { stride: 1, dilation: 1, padding: "same", border: "reflect", flip: false };
  const changed = Object.entries(bench.options).filter(([name, value]) => value !== usual[name]);
  const words = changed.map(([name, value]) => (value === true ? ` --${name}` : ` --${name} ${value}`));
  return `featcli convolve ${quoted(bench.map.file ?? "PICTURE")} -k "${kernelText(bench.kernel)}"${words.join("")}`;
}
