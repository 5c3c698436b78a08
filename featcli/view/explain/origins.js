"use strict";

// The maps that a cell comes from, with the cells that matter marked, and the way back to them.

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

/** What stands in a cell that is large enough. */
function cellText(input, place) {
  if (!input.values) return null;
  return (row, col) => {
    const x = valueAt(input, place, row, col);
    return x === undefined ? "" : cellNumber(x);
  };
}

/** Go on to a map that the cell comes from, to the cell in the middle of the window. */
function visit(index) {
  const { input, channel, marks } = state.origins[index];
  const middle = (list) => list.filter((i) => i >= 0)[Math.floor((list.filter((i) => i >= 0).length - 1) / 2)];
  open(input.number, Math.max(0, input.layer.channels.indexOf(channel)),
    marks ? middle(marks.rows) : undefined, marks ? middle(marks.cols) : undefined);
}

/** The number of a list that is nearest to x. */
function nearestOf(list, x) {
  let best = 0;
  for (let i = 1; i < list.length; i += 1) if (Math.abs(list[i] - x) < Math.abs(list[best] - x)) best = i;
  return best;
}

/** The row, or column, in the middle of each window. */
const middles = (windows) => windows.map((list) => {
  const inside = list.filter((i) => i >= 0);
  return inside.length ? (inside[0] + inside[inside.length - 1]) / 2 : Infinity;
});

/** The windows of the rule by which the cell is computed; null where there are none. */
function windowsOf({ rule }, place) {
  if (!rule.windows) return null;
  return rule.windows[rule.kind === "sum" ? rule.filters[place].windows : 0];
}

/** The cell of the result whose window lies nearest to a cell of a map that it comes from. */
function resultOver(index, row, col) {
  const { at, place } = state;
  const origin = state.origins[index];
  const windows = windowsOf(at, place);
  if (!origin?.marks) return null;
  if (windows) return [nearestOf(middles(windows.rows), row), nearestOf(middles(windows.cols), col)];
  if (at.rule.kind !== "flatten") return [row, col];
  const [rows, cols, maps] = origin.input.layer.shape;
  const found = at.rule.order === "chw"
    ? (origin.channel * rows + row) * cols + col : (row * cols + col) * maps + origin.channel;
  return [Math.floor(found / at.layer.wrap), found % at.layer.wrap];
}

/** Follow the pointer over a map that the cell comes from; a click holds the cell. */
function overOrigin(event) {
  const index = [...$("before").querySelectorAll("canvas")].indexOf(event.target);
  if (index < 0 || (event.type === "pointermove" && state.held)) return;
  const { rows, cols } = extent(state.origins[index].input.layer);
  const found = resultOver(index, ...cellAt(event, event.target, rows, cols));
  if (!found) return;
  stop();
  if (event.type === "click") state.held = !state.held;
  move(...found);
}
