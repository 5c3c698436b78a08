"use strict";

// How a cell is computed, by the rule of its layer: every part of the sum, and the result.

const OPERATORS = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  max: Math.max,
  min: Math.min,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  tanh: Math.tanh,
  abs: Math.abs,
};

/** Compute a formula of x: a number, "x", or a list of an operator and what it is of. */
function evaluated(formula, x) {
  if (!Array.isArray(formula)) return formula === "x" ? x : formula;
  const [operator, ...parts] = formula;
  return OPERATORS[operator](...parts.map((part) => evaluated(part, x)));
}

/** What an activation makes of x; there may be none. */
const activated = (activation, x) => (activation ? evaluated(activation.formula, x) : x);

const total = (list) => list.reduce((sum, one) => sum + one, 0);

/** Halves go to the even neighbour, as NumPy rounds. */
function rounded(x) {
  const near = Math.round(x);
  return Math.abs(x % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

/** A tap of zero is left out, as in SciPy, and so is what lies outside: 0 times NaN is 0 here. */
const product = (x, weight) => (x === null || weight === 0 ? 0 : x * weight);

/** The cells that a window covers; those outside the map are null. */
function patchOf(input, channel, rows, cols) {
  return rows.map((r) => cols.map((c) => (r < 0 || c < 0 ? null : valueOf(input, channel, r, c))));
}

const RULES = {
  sum(at, place, row, col) {
    const { rule, inputs: [input], weights, rests } = at;
    const filter = rule.filters[place];
    const window = rule.windows[filter.windows];
    const [rows, cols] = [window.rows[row], window.cols[col]];
    let next = at.starts[place];
    const parts = filter.sources.map((channel) => {
      const patch = patchOf(input, channel, rows, cols);
      const kernel = patch.map((line) => line.map(() => weights[next++]));
      const products = patch.map((line, i) => line.map((x, j) => product(x, kernel[i][j])));
      return { channel, patch, kernel, products, sum: total(products.flat()) };
    });
    const { rows: tall, cols: wide } = extent(at.layer);
    const rest = filter.rest === null ? 0 : rests[(filter.rest * tall + row) * wide + col];
    const sum = total(parts.map((part) => part.sum)) + rest + filter.bias;
    const before = rule.rounded ? rounded(sum) : sum;
    return { rows, cols, parts, rest, hidden: filter.hidden, bias: filter.bias, sum, before,
      result: activated(rule.activation, before) };
  },

  dense(at, place, row, col) {
    const { rule, inputs: [input], weights, bias } = at;
    const index = row * at.layer.wrap + col;
    const output = rule.outputs.indexOf(index);
    if (output < 0) return { index, parts: null };
    const count = input.layer.shape[0];
    const parts = Array.from({ length: count }, (_, i) => {
      const [x, weight] = [input.values[i], weights[output * count + i]];
      return { index: i, x, weight, product: x * weight };
    });
    const before = total(parts.map((part) => part.product)) + bias[output];
    return { index, parts, bias: bias[output], before, result: activated(rule.activation, before) };
  },

  activate(at, place, row, col) {
    const x = same(at, place, row, col);
    return { x, result: activated(at.rule.activation, x) };
  },

  affine(at, place, row, col) {
    const width = at.numbers.length / 4;
    const index = at.layer.shape.length === 3 ? at.layer.channels[place] : row * at.layer.wrap + col;
    const channel = width === 1 ? 0 : index;
    const [mean, spread, scale, shift] = [0, 1, 2, 3].map((i) => at.numbers[i * width + channel]);
    const x = same(at, place, row, col);
    return { x, mean, spread, scale, shift, result: ((x - mean) / spread) * scale + shift };
  },

  pool(at, place, row, col) {
    const window = at.rule.windows[0];
    const inside = (list) => list.filter((i) => i >= 0);
    const [rows, cols] = [inside(window.rows[row]), inside(window.cols[col])];
    const patch = patchOf(at.inputs[0], at.layer.channels[place], rows, cols);
    const flat = patch.flat();
    const sum = total(flat);
    const result = at.rule.how === "mean" ? sum / flat.length : extreme(flat, at.rule.how);
    const winner = flat.findIndex((x) => Object.is(x, result));
    const from = { row: rows[Math.floor(winner / cols.length)], col: cols[winner % cols.length] };
    return { rows, cols, patch, sum, count: flat.length, winner, from, result };
  },

  pick(at, place, row, col) {
    const window = at.rule.windows[0];
    const [[r], [c]] = [window.rows[row], window.cols[col]];
    const channel = at.rule.sources[place];
    return { rows: [r], cols: [c], channel, result: valueOf(at.inputs[0], channel, r, c) };
  },

  flatten(at, place, row, col) {
    const index = row * at.layer.wrap + col;
    const [rows, cols, maps] = at.inputs[0].layer.shape;
    const area = rows * cols;
    const where = at.rule.order === "chw"
      ? { channel: Math.floor(index / area), row: Math.floor((index % area) / cols), col: index % cols }
      : { channel: index % maps, row: Math.floor(index / maps / cols), col: Math.floor(index / maps) % cols };
    const source = valueOf(at.inputs[0], where.channel, where.row, where.col);
    return { index, ...where, shape: [rows, cols, maps],
      result: Number.isNaN(source) ? valueAt(at, place, row, col) : source };
  },

  softmax(at, place, row, col) {
    const [input] = at.inputs;
    const scores = at.layer.shape.length === 1
      ? Array.from(input.values)
      : input.layer.channels.map((_, i) => valueAt(input, i, row, col));
    const index = at.layer.shape.length === 1
      ? row * at.layer.wrap + col
      : input.layer.channels.indexOf(at.layer.channels[place]); // each layer has its own order
    const top = extreme(scores, "max");
    const powers = scores.map((x) => Math.exp(x - top));
    const sum = total(powers);
    return { index, scores, top, powers, sum, result: powers[index] / sum };
  },

  add(at, place, row, col) {
    const channel = at.layer.channels[place];
    const [one, two] = at.inputs.map((input) => valueOf(input, channel, row, col));
    return { one, two, before: one + two, result: activated(at.rule.activation, one + two) };
  },

  concat(at, place, row, col) {
    const isVector = at.layer.shape.length === 1;
    let channel = isVector ? row * at.layer.wrap + col : at.layer.channels[place];
    let from = 0;
    while (channel >= at.rule.sizes[from]) channel -= at.rule.sizes[from++];
    const input = at.inputs[from];
    return { from, channel, result: isVector ? input.values[channel] : valueOf(input, channel, row, col) };
  },
};

/** Compute a cell; null where the layer has no rule by cells, or the page not its numbers. */
function computed(at, place, row, col) {
  const rule = RULES[at.layer.inputs.length ? at.rule.kind : "input"];
  return rule && at.inputs.every((input) => input.values) ? rule(at, place, row, col) : null;
}

/** The cell of the input at the same place. */
function same(at, place, row, col) {
  const [input] = at.inputs;
  if (at.layer.shape.length === 1) return input.values[row * at.layer.wrap + col];
  return valueOf(input, at.layer.channels[place], row, col);
}

/** The largest or smallest of many; NaN wins, as in NumPy. */
function extreme(list, how) {
  return list.reduce((best, x) => {
    if (Number.isNaN(best) || Number.isNaN(x)) return NaN;
    return (how === "max" ? x > best : x < best) ? x : best;
  });
}

/** A number as short as it tells itself from its neighbours; of 32-bit floats most digits say nothing. */
function exact(x, isDouble = false) {
  if (isDouble || !Number.isFinite(x) || Number.isInteger(x)) return String(x);
  for (let digits = 1; digits < 10; digits += 1) {
    const text = x.toPrecision(digits);
    if (Math.fround(Number(text)) === Math.fround(x)) return String(Number(text));
  }
  return String(x);
}

/** A number to read: five digits, or fewer where there is little room. */
function short(x, digits = 5) {
  if (x === null) return "0";
  return Number.isFinite(x) ? String(Number(x.toPrecision(digits))) : String(x);
}

/** Write a number for a small cell: three digits, but never a whole number that is not the value. */
function cellNumber(x) {
  if (Math.abs(x) >= 10000) return x.toExponential(1);
  return Math.abs(x) >= 1000 ? String(Math.round(x)) : String(Number(x.toPrecision(3)));
}
