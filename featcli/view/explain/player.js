"use strict";

// The window runs over both maps: in some seconds whatever their size, and by the slider.

const STEPS_OF_PLAY = 96;
const PAUSE = 90; // milliseconds

/** Up to `most` numbers of 0..count-1, evenly, with both ends. */
function evenly(count, most) {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}

/** Where the window stops on its way: every cell of a small map, some rows of a large one. */
function stopsOf(layer) {
  const { rows, cols } = extent(layer);
  const down = rows * cols <= STEPS_OF_PLAY ? rows : Math.min(rows, 8);
  const across = Math.floor(STEPS_OF_PLAY / down);
  return evenly(rows, down).flatMap((row) => evenly(cols, Math.max(2, across)).map((col) => [row, col]))
    .filter(([row, col]) => layer.shape.length === 3 || row * cols + col < layer.shape[0]);
}

const placeOf = (row, col) => row * extent(state.at.layer).cols + col;

/** Let the window run from the cell on; at the end it stops, and begins anew if it is there. */
function play() {
  if (state.timer) return stop();
  const stops = stopsOf(state.at.layer);
  const here = placeOf(state.row, state.col);
  const ahead = stops.filter(([row, col]) => placeOf(row, col) > here);
  state.way = ahead.length ? ahead : stops;
  $("play").textContent = "Pause";
  $("play").setAttribute("aria-pressed", "true");
  state.timer = setInterval(step, PAUSE);
  return undefined;
}

function step() {
  const next = state.way.shift();
  if (next) move(...next);
  if (!state.way.length) stop();
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  $("play").textContent = "Play";
  $("play").setAttribute("aria-pressed", "false");
}

/** Bring the slider to where the window is. */
function progress() {
  const { rows, cols } = extent(state.at.layer);
  const bar = $("progress");
  bar.max = (state.at.layer.shape.length === 3 ? rows * cols : state.at.layer.shape[0]) - 1;
  bar.value = placeOf(state.row, state.col);
  bar.setAttribute("aria-valuetext", state.at.layer.shape.length === 3
    ? `row ${state.row}, column ${state.col}` : `index ${bar.value}`);
}

/** Go where the slider is. */
function slide() {
  stop();
  const { cols } = extent(state.at.layer);
  const place = Number($("progress").value);
  move(Math.floor(place / cols), place % cols);
}
