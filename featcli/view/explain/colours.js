"use strict";

// Values to colours, as featcli draws them: one straight line to the 256 levels of a colour map.

const MARKS = { nan: [255, 0, 255], plus: [255, 255, 0], minus: [0, 255, 255] };

const PALETTES = Object.fromEntries(Object.entries(given.palettes || {}).map(([name, text]) =>
  [name, Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]));

/** The level of a value, 0 to 255. */
function levelOf(x, { lo, hi }) {
  if (hi <= lo) return 0;
  const half = Number.isFinite(hi - lo) ? 1 : 0.5; // the whole span may be more than there are numbers
  return rounded(255 * Math.min(1, Math.max(0, (x * half - lo * half) / (hi * half - lo * half))));
}

/** The colour of a value, as [red, green, blue]. */
function colourAt(x, drawn) {
  if (Number.isNaN(x)) return MARKS.nan;
  if (x === Infinity) return MARKS.plus;
  if (x === -Infinity) return MARKS.minus;
  const at = 3 * levelOf(x, drawn);
  const table = PALETTES[drawn.cmap];
  return [table[at], table[at + 1], table[at + 2]];
}

/** A canvas with a pixel for each value; drawn is { lo, hi, cmap }. */
function painted(values, rows, cols, drawn) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [cols, rows];
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(cols, rows);
  for (let i = 0; i < rows * cols; i += 1) {
    const [red, green, blue] = i < values.length ? colourAt(values[i], drawn) : [128, 128, 128];
    image.data.set([red, green, blue, 255], 4 * i);
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** The largest finite magnitude of some values; 0 of none. */
function reachOf(values) {
  let most = 0;
  for (const x of values) if (Math.abs(x) > most && Number.isFinite(x)) most = Math.abs(x);
  return most;
}

/** A scale for values: around zero if some are negative, else from zero up. */
function scaleOf(values, signed = values.some((x) => x < 0)) {
  const reach = reachOf(values) || 1;
  return signed ? { lo: -reach, hi: reach, cmap: "coolwarm" } : { lo: 0, hi: reach, cmap: "magma" };
}
