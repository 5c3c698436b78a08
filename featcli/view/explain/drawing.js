"use strict";

// Elements, maps on a canvas with the cells that matter marked, and the graph of an activation.

/** Make an element; children are text or elements, so that no text can become markup. */
function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "style") Object.assign(node.style, value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The colour of a part of a sum: red adds, blue takes away. */
function tint(x, most) {
  const share = Number.isFinite(x) && most > 0 ? Math.min(1, Math.abs(x) / most) : 0;
  return `rgb(var(${x < 0 ? "--cold" : "--warm"}) / ${(0.55 * share).toFixed(3)})`;
}

/** The colour of a style variable. */
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const pictures = new Map();

/** The picture of a map, from its row on the page; decoded once. */
async function pictureOf(number, place) {
  const key = `${number}/${place}`;
  if (!pictures.has(key)) {
    const shown = document.querySelector(`button[data-layer="${number}"][data-place="${place}"] img`);
    const image = new Image();
    image.src = shown.src;
    pictures.set(key, image.decode().then(() => image));
  }
  return pictures.get(key);
}

const LARGEST = 460;
const COLUMN_WIDTH = 72; // of a single column of cells, so that their numbers can be read

/** How large a cell of a map is on the screen. */
function cellSize(rows, cols, room, most = LARGEST) {
  const fit = Math.min(room / cols, most / rows);
  return fit >= 2 ? Math.floor(fit) : fit;
}

/**
 * Draw a map and mark cells in it.
 * marks: { rows, cols } lists of rows and columns; label(row, col) gives the number in a cell.
 */
async function drawMap(canvas, number, place, marks, label) {
  const { rows, cols } = extent(layers[number]);
  drawPicture(canvas, await pictureOf(number, place), { rows, cols, marks, label });
}

/** Draw a picture of rows x cols cells as large as there is room. */
function drawPicture(canvas, image, { rows, cols, marks = null, label = null, most = LARGEST }) {
  const tallest = Math.min(most, roomBelow(canvas));
  const room = Math.max(40, canvas.parentElement.clientWidth - 4);
  const size = cellSize(rows, cols, Math.min(room, most), tallest);
  const across = cols === 1 && rows > 1 ? Math.max(size, Math.min(COLUMN_WIDTH, room)) : size;
  const [wide, tall] = [Math.max(1, across * cols), Math.max(1, size * rows)];
  const dense = window.devicePixelRatio || 1;
  Object.assign(canvas.style, { width: `${wide}px`, height: `${tall}px` });
  [canvas.width, canvas.height] = [wide * dense, tall * dense].map(Math.round);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.scale(dense, dense);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, 0, 0, wide, tall);
  if (size >= (across > size ? 14 : 30) && label) numbersIn(pen, rows, cols, [size, across], label);
  if (marks) markCells(pen, [size, across], marks);
}

/** On a narrow screen maps are low, so that what is computed from them stays in view. */
const roomBelow = (canvas) => (canvas.closest(".stage") && window.innerWidth <= 736
  ? Math.max(90, (window.innerHeight * 0.27) / Math.ceil(canvas.closest("#before")?.children.length / 2 || 1)) : LARGEST);

/** Which cell of a canvas that shows rows x cols cells the pointer is over. */
function cellAt(event, canvas, rows, cols) {
  const box = canvas.getBoundingClientRect();
  const within = (x, size, count) => Math.min(count - 1, Math.max(0, Math.floor((x / size) * count)));
  return [within(event.clientY - box.top, box.height, rows), within(event.clientX - box.left, box.width, cols)];
}

/** Write the number of each cell, which is so high and so wide, into it, dark on a bright one. */
function numbersIn(pen, rows, cols, [size, across], label) {
  const dense = pen.getTransform().a;
  const drawn = pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height);
  const bright = (x, y) => {
    const at = 4 * (Math.floor(y * dense) * drawn.width + Math.floor(x * dense));
    return 0.3 * drawn.data[at] + 0.6 * drawn.data[at + 1] + 0.1 * drawn.data[at + 2] > 140;
  };
  pen.font = `${Math.min(14, across > size ? size * 0.8 : size / 3.4)}px ${colourOf("--mono")}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (let row = 0; row < rows; row += 1) {
    for (let col = 0; col < cols; col += 1) {
      const text = label(row, col);
      const [x, y] = [(col + 0.5) * across, (row + 0.5) * size];
      pen.fillStyle = bright(x, y) ? "black" : "white";
      pen.fillText(text, x, y, across - 4);
    }
  }
}

/** Frame every marked cell, which is so high and so wide, and all of them together. */
function markCells(pen, [high, wide], { rows, cols }) {
  const inside = (list) => list.filter((i) => i >= 0);
  const [down, across] = [inside(rows), inside(cols)];
  if (!down.length || !across.length) return;
  const grown = (Math.max(high, 5) - high) / 2;
  if (high >= 6 && down.length * across.length <= 400) {
    pen.lineWidth = 1;
    pen.strokeStyle = "rgb(255 255 255 / 0.8)";
    for (const row of down) for (const col of across) pen.strokeRect(col * wide + 0.5, row * high + 0.5, wide - 1, high - 1);
  }
  const [top, left] = [Math.min(...down) * high - grown, Math.min(...across) * wide - grown];
  const frame = [left, top, (Math.max(...across) + 1) * wide + grown - left, (Math.max(...down) + 1) * high + grown - top];
  for (const [width, colour] of [[5, "black"], [2.5, "#ffd23f"]]) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.strokeRect(...frame);
  }
}

function shape(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** The graph of an activation with the point of one cell. */
function graph(activation, x, y) {
  const f = (value) => activated(activation, value);
  const reach = Math.max(Number.isFinite(x) ? Math.abs(x) * 1.3 : 0, 8);
  const ends = [-1, 1].map((side) => f(side * reach));
  const [low, high] = [Math.min(0, ...ends), Math.max(1e-9, ...ends)];
  const across = (value) => 20 + ((value + reach) / (2 * reach)) * 200;
  const up = (value) => 130 - ((value - low) / (high - low)) * 110;
  const points = Array.from({ length: 161 }, (_, i) => -reach + (i / 80) * reach)
    .map((value) => `${across(value).toFixed(1)},${up(f(value)).toFixed(1)}`);
  const parts = [
    shape("line", { x1: 10, x2: 230, y1: up(0), y2: up(0), stroke: "currentColor", "stroke-opacity": 0.35 }),
    shape("line", { x1: across(0), x2: across(0), y1: 10, y2: 140, stroke: "currentColor", "stroke-opacity": 0.35 }),
    shape("polyline", { points: points.join(" "), fill: "none", stroke: "var(--accent)", "stroke-width": 2.5 }),
  ];
  if (Number.isFinite(x) && Number.isFinite(y)) {
    const [px, py] = [across(x), up(y)];
    const dashed = { stroke: "currentColor", "stroke-dasharray": "3 3", "stroke-opacity": 0.6 };
    parts.push(
      shape("line", { x1: px, x2: px, y1: up(0), y2: py, ...dashed }),
      shape("line", { x1: across(0), x2: px, y1: py, y2: py, ...dashed }),
      shape("circle", { cx: px, cy: py, r: 5, fill: "#ffd23f", stroke: "black" }),
    );
  }
  const caption = shape("text", { x: 120, y: 158, "text-anchor": "middle", "font-size": 12, fill: "currentColor" },
    `${activation.name}(${short(x)}) = ${short(y)}`);
  return shape("svg", { viewBox: "0 0 240 165", class: "graph", role: "img", "aria-label": caption.textContent }, ...parts, caption);
}
