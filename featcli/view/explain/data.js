"use strict";

// The numbers of the page: blocks of text that are unpacked when they are first asked for.

const given = JSON.parse(document.getElementById("data").textContent);
const layers = given.layers || [];
const $ = (id) => document.getElementById(id);
const unpacked = new Map();

/** How many layers each picture of the page has, one picture's after the other's. */
const depth = layers.length / Math.max(1, (given.pictures || []).length);

const KINDS = {
  u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, i4: Int32Array,
  f4: Float32Array, f8: Float64Array,
};

/** Decode base64 and inflate it. */
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Put the bytes of each value side by side again. */
function assembled(planes, width) {
  if (width === 1) return planes;
  const count = planes.length / width;
  const bytes = new Uint8Array(planes.length);
  for (let byte = 0; byte < width; byte += 1) {
    for (let i = 0; i < count; i += 1) bytes[i * width + byte] = planes[byte * count + i];
  }
  return bytes;
}

async function unpack(reference) {
  const Kind = KINDS[reference.type];
  const planes = await inflated(document.getElementById(`block${reference.block}`).textContent);
  return new Kind(assembled(planes, Kind.BYTES_PER_ELEMENT).buffer);
}

/** Return the numbers behind a reference as a typed array; null stays null. */
function numbersOf(reference) {
  if (!reference) return null;
  if (!unpacked.has(reference.block)) unpacked.set(reference.block, unpack(reference));
  return unpacked.get(reference.block);
}

/** Return a layer with the numbers of itself, of its rule and of what it takes. */
async function loaded(number) {
  const layer = layers[number];
  const rule = layer.rule;
  const [values, weights, rests, bias, numbers] = await Promise.all(
    [layer.values, rule.weights, rule.rests, rule.bias, rule.numbers].map(numbersOf));
  const inputs = await Promise.all(layer.inputs.map(async (at) => {
    return { number: at, layer: layers[at], values: await numbersOf(layers[at].values) };
  }));
  return { number, layer, rule, values, weights, rests, bias, numbers, inputs, starts: starts(rule) };
}

/** Where the weights of each filter begin in the block of all of them. */
function starts(rule) {
  const found = [];
  let begin = 0;
  for (const filter of rule.filters || []) {
    const { rows, cols } = rule.windows[filter.windows];
    found.push(begin);
    begin += filter.sources.length * rows[0].length * cols[0].length;
  }
  return found;
}

/** Rows and columns in which a layer is shown; a vector is wrapped. */
function extent(layer) {
  if (layer.shape.length === 3) return { rows: layer.shape[0], cols: layer.shape[1] };
  return { rows: Math.ceil(layer.shape[0] / layer.wrap), cols: layer.wrap };
}

/** The value of a cell, by the place of its map on the page. */
function valueAt({ layer, values }, place, row, col) {
  if (!values) return NaN;
  const { rows, cols } = extent(layer);
  const index = layer.shape.length === 3 ? (place * rows + row) * cols + col : row * cols + col;
  return values[index];
}

/** The value of a map by its number in the network; NaN if the page does not hold it. */
function valueOf(input, channel, row, col) {
  const place = input.layer.channels.indexOf(channel);
  return place < 0 ? NaN : valueAt(input, place, row, col);
}
