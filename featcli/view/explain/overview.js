"use strict";

// All layers as columns of their strongest maps, with lines to those that each is made of.

const SHOWN = 3; // of a layer, besides those that lines lead to
const MOST_SHOWN = 6;
const NODE = 54; // pixels
const drawnNodes = new Map(); // "number/channel" to its button

/** The number of the first layer of the picture that is shown. */
const beginning = () => depth * Number($("overview-picture").value);

/** Which maps stand in each column: the strongest, and those that the next ones are made of. */
function columnsOf() {
  const begin = beginning();
  const found = Array.from({ length: depth }, () => new Set());
  for (let number = depth - 1; number >= 0; number -= 1) {
    const layer = layers[begin + number];
    for (const channel of layer.channels.slice(0, SHOWN)) found[number].add(channel);
    layer.links.forEach((links, place) => {
      if (!found[number].has(layer.channels[place])) return;
      for (const [input, channel] of links) {
        const source = found[layer.inputs[input] - begin];
        if (source.size < MOST_SHOWN && layers[layer.inputs[input]].channels.includes(channel)) source.add(channel);
      }
    });
  }
  return found.map((set) => [...set].sort((a, b) => a - b)); // so that lines cross as little as they can
}

/** A name that may be broken after its dots. */
const breakable = (name) => name.split(/(?<=\.)/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));

/** Build the columns; the lines follow when everything has its place. */
function overview() {
  const begin = beginning();
  drawnNodes.clear();
  const columns = columnsOf().map((channels, number) => make("div", { class: "column-of" },
    make("a", { href: `#layer${number}` }, ...breakable(layers[number].name)),
    ...channels.map((channel) => node(begin + number, channel))));
  $("flow").replaceChildren(shape("svg", { class: "lines", "aria-hidden": "true" }), ...columns);
  redrawFlow();
}

/** A map of the overview. */
function node(number, channel) {
  const layer = layers[number];
  const place = layer.channels.indexOf(channel);
  const name = layer.shape.length === 1 ? `${layer.name}, ${layer.shape[0]} values` : `${layer.name}, ${called(layer, channel)}`;
  const button = make("button", { type: "button", class: "node", "aria-label": name, onclick: () => open(number, place) },
    make("canvas", { width: NODE, height: NODE }));
  for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => explainNode(number, channel));
  drawnNodes.set(`${number}/${channel}`, button);
  return button;
}

/** Draw the small maps, and then the lines. */
async function redrawFlow() {
  await Promise.all([...drawnNodes].map(async ([key, button]) => {
    const [number, channel] = key.split("/").map(Number);
    const canvas = button.firstElementChild;
    const image = await pictureOf(number, layers[number].channels.indexOf(channel));
    const { rows, cols } = extent(layers[number]);
    const fit = Math.min(NODE / rows, NODE / cols);
    [canvas.width, canvas.height] = [Math.max(cols === 1 ? 12 : 4, Math.round(cols * fit)), Math.max(4, Math.round(rows * fit))];
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = rows > NODE;
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  }));
  layOut();
}

/** Every line as [from, to, share]. */
function allLinks() {
  const found = [];
  for (const key of drawnNodes.keys()) {
    const [number, channel] = key.split("/").map(Number);
    const layer = layers[number];
    for (const [input, source, share] of layer.links[layer.channels.indexOf(channel)] || []) {
      const from = `${layer.inputs[input]}/${source}`;
      if (drawnNodes.has(from)) found.push([from, key, share]);
    }
  }
  return found;
}

/** Put the lines where the maps are: first all places are read, then all lines are drawn. */
function layOut() {
  const flow = $("flow");
  const lines = flow.querySelector(".lines");
  if (!lines) return;
  const origin = flow.getBoundingClientRect();
  const [left, top] = [origin.left - flow.scrollLeft, origin.top - flow.scrollTop];
  const boxes = new Map([...drawnNodes].map(([key, button]) => [key, button.firstElementChild.getBoundingClientRect()]));
  const place = (key, side) => {
    const box = boxes.get(key);
    return [box[side] - left, box.top + box.height / 2 - top];
  };
  // Without the lines themselves, which would hold a place open that is no longer needed.
  lines.setAttribute("width", 0);
  lines.setAttribute("height", 0);
  const [width, height] = [flow.scrollWidth, flow.clientHeight];
  lines.replaceChildren(...allLinks().map(([from, to, share]) => lineFrom(place(from, "right"), place(to, "left"), share, { from, to })));
  lines.setAttribute("width", width);
  lines.setAttribute("height", height);
}

/** A line from one map to another, thicker where more comes from. */
function lineFrom([x1, y1], [x2, y2], share, ends) {
  const bend = Math.max(14, (x2 - x1) / 2);
  const path = shape("path", { d: `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "stroke-width": 1 + 4 * share });
  Object.assign(path.dataset, ends);
  return path;
}

/** All that a map is made of, back to the picture. */
function ancestors(key) {
  const found = new Set([key]);
  const links = allLinks();
  for (const one of found) for (const [from, to] of links) if (to === one) found.add(from);
  return found;
}

/** Mark the way to a map, and show the kernels that make it. */
async function explainNode(number, channel) {
  const key = `${number}/${channel}`;
  const way = ancestors(key);
  for (const [one, button] of drawnNodes) button.classList.toggle("on", way.has(one));
  for (const path of $("flow").querySelectorAll("path")) {
    path.classList.toggle("on", way.has(path.dataset.to) && way.has(path.dataset.from));
    path.classList.toggle("next", path.dataset.to === key);
  }
  $("card").dataset.key = key;
  const nodes = await cardOf(number, channel);
  if ($("card").dataset.key === key) $("card").replaceChildren(...nodes);
}

/** What a map is made of, in words and with the kernels of its strongest sources. */
async function cardOf(number, channel) {
  const layer = layers[number];
  const name = layer.shape.length === 1 ? layer.name : `${layer.name}, ${called(layer, channel)}`;
  const heading = make("p", {}, make("b", {}, name), ` ${rowOf(number).querySelector(".what").textContent}`);
  const links = layer.links[layer.channels.indexOf(channel)];
  if (layer.kind !== "sum" || typeof DecompressionStream === "undefined") return [heading];
  const at = await loaded(number);
  const place = layer.channels.indexOf(channel);
  const kernels = links.map(([, source, share]) => kernelOf(at, place, source, share));
  return [heading, make("div", { class: "terms" }, ...kernels.filter(Boolean))];
}

/** The kernel with which a filter looks at one of its maps. */
function kernelOf(at, place, channel, share) {
  const filter = at.rule.filters[place];
  const { rows, cols } = at.rule.windows[filter.windows];
  const [tall, wide] = [rows[0].length, cols[0].length];
  const begin = at.starts[place] + filter.sources.indexOf(channel) * tall * wide;
  if (filter.sources.indexOf(channel) < 0 || tall * wide > MOST_CELLS) return null;
  const taps = Array.from({ length: tall }, (_, i) => [...at.weights.slice(begin + i * wide, begin + (i + 1) * wide)]);
  const source = at.inputs[0].layer;
  return matrix(taps, `${called(source, channel)} of ${source.name}, about ${Math.round(100 * share)}%`, { colours: true });
}
