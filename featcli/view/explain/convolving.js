"use strict";

// featcli's convolution in JavaScript: where each window lies, what lies beyond the edge, the sums.

const BORDERS = ["reflect", "nearest", "mirror", "constant", "wrap"];

/** Lay out one direction: output n sees the cells from n * stride - before on. */
function axis(size, taps, { stride, dilation, padding, flip }) {
  const step = Math.min(stride, Math.max(size, 1));
  const span = (taps - 1) * dilation + 1;
  const centre = flip ? span - 1 - Math.floor(span / 2) : Math.floor(span / 2);
  const full = padding === "same" ? size : Math.max(0, size - span + 1);
  return { step, span, before: padding === "same" ? centre : 0, results: Math.ceil(full / step) };
}

/** The cell that stands for one beyond the edge; -1 where zero does. */
function insideOf(position, size, border) {
  if (position >= 0 && position < size) return position;
  const within = (x, n) => ((x % n) + n) % n;
  if (border === "constant") return -1;
  if (border === "nearest") return position < 0 ? 0 : size - 1;
  if (border === "wrap") return within(position, size);
  if (border === "reflect") {
    const folded = within(position, 2 * size);
    return Math.min(folded, 2 * size - 1 - folded);
  }
  const period = Math.max(1, 2 * size - 2);
  const folded = within(position, period);
  return Math.min(folded, period - folded);
}

/** Which row, or column, each tap of each output lies on. */
function lying(size, taps, options) {
  const { step, before, results } = axis(size, taps, options);
  return Array.from({ length: results }, (_, n) => Array.from({ length: taps }, (__, i) =>
    insideOf(n * step - before + i * options.dilation, size, options.border)));
}

/**
 * Convolve a map by a kernel.
 * map: { values, rows, cols }; kernel: rows of numbers; options: stride, dilation, padding, border, flip.
 * Gives { rows, cols, values, windows, kernel }, or { error } where featcli refuses.
 */
function convolved(map, kernel, options) {
  const [tall, wide] = [kernel.length, kernel[0].length];
  const spans = [tall, wide].map((taps) => (taps - 1) * options.dilation + 1);
  if (options.padding === "valid" && (spans[0] > map.rows || spans[1] > map.cols)) {
    return { error: `padding valid needs a picture of at least ${spans.join("x")} (the kernel, dilated), not ${map.rows}x${map.cols}` };
  }
  const laid = options.flip ? kernel.map((row) => [...row].reverse()).reverse() : kernel;
  const windows = { rows: lying(map.rows, tall, options), cols: lying(map.cols, wide, options) };
  const values = Float32Array.from(slid(map.values, map.cols, windows.rows, windows.cols, laid.flat()));
  return { rows: windows.rows.length, cols: windows.cols.length, values, windows, kernel: laid };
}
