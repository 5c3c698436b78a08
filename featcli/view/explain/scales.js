"use strict";

// The colours of all maps by one of three scales: that of its map, of its layer, or of the page.

/** The scale of a map; pictures keep their own. */
function scaleFor(how, layer, values, reach) {
  const { lo, hi, cmap } = layer.drawn;
  if (how === "layer" || cmap === "gray") return layer.drawn;
  const most = (how === "page" ? reach : reachOf(values)) || 1;
  return lo < 0 ? { lo: -most, hi: most, cmap } : { lo: Math.min(0, lo), hi: most, cmap };
}

/** The values of one map of a layer. */
function planeOf(layer, values, place) {
  if (layer.shape.length === 1) return values;
  const area = layer.shape[0] * layer.shape[1];
  return values.subarray(place * area, (place + 1) * area);
}

const originals = new Map();

/** Draw a map again by a scale; its own picture comes back for the layer's. */
function recolour(image, layer, values, place, how, reach) {
  if (!originals.has(image)) originals.set(image, image.src);
  if (how === "layer" || !values || layer.drawn.cmap === "gray") {
    image.src = originals.get(image);
    return;
  }
  const { rows, cols } = extent(layer);
  const plane = planeOf(layer, values, place);
  image.src = painted(plane, rows, cols, scaleFor(how, layer, plane, reach)).toDataURL();
}

/** Say under a row of maps what its colours mean now. */
function restate(button, layer, how, reach) {
  const line = button.closest(".side, .layer").querySelector(".scale");
  const [low, high] = line.querySelectorAll("span");
  const { lo, hi } = scaleFor(how === "page" ? "page" : "layer", layer, [], reach);
  const own = how === "map" && layer.drawn.cmap !== "gray";
  low.textContent = own ? (lo < 0 ? "each map: −its largest" : "each map: 0") : short(lo, 4);
  high.textContent = own ? "its largest" : short(hi, 4);
}

/** Draw every map of the page by the chosen scale. */
async function rescale() {
  const how = $("scale").value;
  const all = await Promise.all(layers.map((layer) => (how === "layer" ? null : numbersOf(layer.values))));
  const reach = Math.max(...layers.map((layer, i) => (all[i] && layer.drawn.cmap !== "gray" ? reachOf(all[i]) : 0)));
  pictures.clear();
  for (const button of document.querySelectorAll(".map button")) {
    const number = Number(button.dataset.layer);
    recolour(button.firstElementChild, layers[number], all[number], Number(button.dataset.place), how, reach);
    if (button.dataset.place === "0") restate(button, layers[number], how, reach);
  }
  document.documentElement.dataset.scale = how;
  await redrawFlow();
}
