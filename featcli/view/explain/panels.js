"use strict";

// The calculation of one cell as tables and lines, one function for each rule.

const MOST_TABLES = 3; // input maps whose numbers are all shown at once
const MOST_CELLS = 121; // of a window that is shown as a table
const MOST_ROWS = 10;

/** The name of a map as a person calls it. */
function called(layer, channel) {
  const label = layer.labels[layer.channels.indexOf(channel)] ?? String(channel);
  return /^\d+$/.test(label) ? `map #${label}` : label;
}

/** A table of numbers; the copy has all their digits. */
function matrix(lines, caption, { colours = false, winner = -1 } = {}) {
  const most = Math.max(...lines.flat().map((x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
  const width = lines[0].length;
  const cell = (x, i, j) => {
    if (x === null) return make("td", { class: "outside", title: "outside the map: counts as 0" }, "·");
    const style = colours ? { background: tint(x, most) } : {};
    return make("td", { style, title: exact(x), class: i * width + j === winner ? "winner" : null }, short(x));
  };
  const body = lines.map((line, i) => make("tr", {}, ...line.map((x, j) => cell(x, i, j))));
  return make("div", { class: "matrix" }, make("table", {}, make("caption", {}, caption), make("tbody", {}, ...body)));
}

/** A table with a heading; rows are { cells, bar, chosen, choose }. */
function columns(heads, rows, most) {
  const bar = (value) => make("td", { class: "bars" }, make("span", {
    class: "bar", style: { width: `${(100 * Math.min(1, Math.abs(value) / (most || 1))).toFixed(1)}%`, background: `rgb(var(${value < 0 ? "--cold" : "--warm"}))` },
  }));
  const line = ({ cells, value, chosen, choose }) => {
    const [first, ...others] = cells;
    const classes = [chosen ? "chosen" : "", choose ? "pointer" : ""].join(" ").trim() || null;
    const name = choose ? make("button", { type: "button", class: "copy", onclick: choose }, first) : first;
    return make("tr", { class: classes }, make("th", { scope: "row" }, name),
      ...others.map((text) => make("td", {}, text)), value === undefined ? null : bar(value));
  };
  const head = make("tr", {}, ...heads.map((text) => (text ? make("th", { scope: "col" }, text) : make("td", {}))));
  const table = make("table", { class: "columns" }, make("thead", {}, head), make("tbody", {}, ...rows.map(line)));
  return make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "what it is made of" }, table);
}

const line = (...children) => make("p", { class: "line" }, ...children);

/** What the colours of products mean. */
const legend = () => make("p", { class: "key" }, make("i", { class: "adds" }), "adds to the result",
  make("i", { class: "takes" }), "takes away from it");

/** The value of the cell as the network computed it. */
function cellValue(view) {
  return make("span", { class: "result", id: "cell", "data-value": view.text }, view.text);
}

/** The end of a calculation: the activation, if there is one, and the cell. */
function ending(view, before, activation) {
  if (!activation) return [];
  return [make("div", { class: "split" },
    line(`${activation.name}(`, argument(before), ") = ", cellValue(view)),
    graph(activation, before, view.found.result))];
}

/** What the activation takes. */
const argument = (x) => make("span", { id: "argument", "data-value": String(x) }, short(x));

const PANELS = {
  sum(view) {
    const { at, found } = view;
    const { parts, rest, hidden, bias } = found;
    const shown = parts.length <= MOST_TABLES ? parts : parts.filter((part) => part.channel === view.source);
    const single = found.rows.length * found.cols.length === 1;
    const nodes = single && parts.length > 1 ? [] : shown.map((part) => terms(at, part));
    if (parts.length > MOST_TABLES || single) nodes.push(contributions(view, single));
    nodes.push(...beyond(found));
    const source = at.inputs[0].layer;
    const named = parts.length === 1 ? [`sum of the products: ${short(parts[0].sum)}`] : parts.length <= 4
      ? parts.flatMap((part, i) => [i ? " + " : "", make("span", { title: called(source, part.channel) }, signed(part.sum))])
      : [`${short(total(parts.map((part) => part.sum)))} (${parts.length} maps)`];
    const others = hidden ? [` + ${signed(rest)} (the other ${hidden} maps together)`] : [];
    const added = bias ? [` + ${signed(bias)} (bias)`] : [];
    const isLast = !at.rule.activation;
    const whole = at.rule.rounded ? [`${short(found.sum)}, rounded: `] : [];
    const bare = parts.length === 1 && !added.length && !others.length;
    nodes.push(legend(), line(...(bare ? ["sum of the products"] : [...named, ...others, ...added]), " = ", ...whole,
      isLast ? cellValue(view) : argument(found.before)));
    return [...nodes, ...ending(view, found.before, at.rule.activation)];
  },

  dense(view) {
    const { at, found } = view;
    if (!found.parts) return [line("the weights of this result are not on the page; it is ", cellValue(view))];
    const source = at.inputs[0].layer;
    const ranked = [...found.parts].sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
    const top = ranked.slice(0, MOST_ROWS);
    const others = ranked.slice(MOST_ROWS);
    const rows = top.map(({ index, x, weight, product }) => ({
      cells: [source.names[index] || `input ${index}`, short(x), short(weight), short(product)], value: product }));
    const rest = total(others.map((part) => part.product));
    if (others.length) rows.push({ cells: [`the other ${others.length} inputs`, "", "", short(rest)], value: rest });
    rows.push({ cells: ["bias", "", "", short(found.bias)], value: found.bias });
    const isLast = !at.rule.activation;
    const most = Math.max(...[top[0]?.product, found.bias, rest].map((x) => Math.abs(x || 0)));
    return [columns(["largest contributions", "value", "× weight", "= product", ""], rows, most), legend(),
      line("sum of all = ", isLast ? cellValue(view) : argument(found.before)),
      ...ending(view, found.before, at.rule.activation)];
  },

  activate(view) {
    const { rule } = view.at;
    return [make("div", { class: "split" },
      line(`${rule.activation.name}(${short(view.found.x)}) = `, cellValue(view)),
      graph(rule.activation, view.found.x, view.found.result))];
  },

  affine(view) {
    const { x, mean, spread, scale, shift } = view.found;
    const more = scale !== 1 || shift !== 0 ? ` × ${short(scale)} + ${signed(shift)}` : "";
    return [line(`(${short(x)} − ${signed(mean)}) ÷ ${short(spread)}${more} = `, cellValue(view))];
  },

  pool(view) {
    const { patch, count, sum, winner, from } = view.found;
    const { how } = view.at.rule;
    const table = count <= MOST_CELLS
      ? [make("div", { class: "terms" }, matrix(patch, `the window: ${count} cells`, { winner: how === "mean" ? -1 : winner }))] : [];
    if (how === "mean") return [...table, line(`${short(sum)} ÷ ${count} = `, cellValue(view))];
    const where = winner < 0 ? "" : `, from row ${from.row}, column ${from.col}`;
    return [...table, line(`the ${how === "max" ? "largest" : "smallest"} of ${count}${where}: `, cellValue(view))];
  },

  pick(view) {
    const { rows, cols, channel } = view.found;
    const name = called(view.at.inputs[0].layer, channel);
    return [line(`${name}, row ${rows[0]}, column ${cols[0]}: `, cellValue(view))];
  },

  flatten(view) {
    const { index, channel, row, col, shape: [rows, cols, maps] } = view.found;
    const name = called(view.at.inputs[0].layer, channel);
    const sum = view.at.rule.order === "chw"
      ? `map ${channel} × ${rows * cols} + row ${row} × ${cols} + column ${col}`
      : `(row ${row} × ${cols} + column ${col}) × ${maps} + map ${channel}`;
    return [line(`index ${index} = ${sum}`), line(`${name}, row ${row}, column ${col}: `, cellValue(view))];
  },

  softmax(view) {
    const { index, scores, top, powers, sum } = view.found;
    const names = view.at.layer.shape.length === 1 ? view.at.layer.names : view.at.inputs[0].layer.labels;
    const ranked = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
    const shown = [...new Set([...ranked.slice(0, 7), index])];
    const rows = shown.map((i) => ({ chosen: i === index, value: powers[i],
      cells: [names[i] || String(i), short(scores[i]), short(scores[i] - top), short(powers[i]), short(powers[i] / sum)] }));
    const rest = total(powers) - total(shown.map((i) => powers[i]));
    if (shown.length < scores.length) {
      rows.push({ cells: [`the other ${scores.length - shown.length}`, "", "", short(rest), short(rest / sum)], value: rest });
    }
    return [columns([view.at.layer.shape.length === 1 ? "value" : "map", "score", "− largest", "exp", "÷ sum", ""], rows, 1),
      line(`sum of all exp = ${short(sum)}`),
      line(`exp(${short(scores[index])} − ${signed(top)}) ÷ ${short(sum)} = ${short(powers[index])} ÷ ${short(sum)} = `, cellValue(view))];
  },

  add(view) {
    const { one, two, before } = view.found;
    const { activation } = view.at.rule;
    const isLast = !activation;
    return [line(`${short(one)} + ${signed(two)} = `, isLast ? cellValue(view) : argument(before)),
      ...ending(view, before, activation)];
  },

  concat(view) {
    const { from, channel } = view.found;
    const source = view.at.inputs[from].layer;
    const name = source.shape.length === 1 ? `value ${channel}` : called(source, channel);
    return [line(`${name} of ${source.name}: `, cellValue(view))];
  },
};

/** A number after a sign: a negative one in brackets. */
const signed = (x) => (x < 0 ? `(${short(x)})` : short(x));

/** Say what stands in for cells beyond the edge. */
function beyond({ rows, cols }) {
  const outside = [...rows, ...cols].some((i) => i < 0);
  const folded = [rows, cols].some((list) => list.some((i, at) => at && i <= list[at - 1]));
  if (!outside && !folded) return [];
  const text = outside ? "Cells beyond the edge count as 0."
    : `Beyond the edge the map is continued: the window takes rows ${rows.join(", ")} and columns ${cols.join(", ")}.`;
  return [make("p", { class: "key" }, text)];
}

/** Patch × kernel = products → their sum, for one input map. */
const terms = (at, part) => equation(called(at.inputs[0].layer, part.channel), part);

/** Patch × kernel = products → their sum, under a name. */
function equation(name, part) {
  const sign = (text) => make("span", { class: "sign", "aria-hidden": "true" }, text);
  return make("div", { class: "terms" }, make("b", {}, name),
    matrix(part.patch, "the cells under the window"), sign("×"),
    matrix(part.kernel, "the kernel", { colours: true }), sign("="),
    matrix(part.products, "the products", { colours: true }), sign("Σ"),
    make("span", { class: "sum" }, short(part.sum)));
}

/** What each input map adds, the largest first; of windows of one cell value and weight too. */
function contributions(view, single) {
  const { at, found } = view;
  const ranked = [...found.parts].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const most = Math.max(Math.abs(ranked[0]?.sum || 0), Math.abs(found.rest));
  const source = at.inputs[0].layer;
  const rows = ranked.map((part) => ({
    cells: [called(source, part.channel), ...(single ? [short(part.patch[0][0]), short(part.kernel[0][0])] : []), short(part.sum)],
    value: part.sum, chosen: part.channel === view.source, choose: () => view.look(part.channel) }));
  if (found.hidden) {
    rows.push({ cells: [`the other ${found.hidden} maps`, ...(single ? ["", ""] : []), short(found.rest)], value: found.rest });
  }
  const heads = single ? ["input map", "value", "× weight", "= product", ""] : ["input map", "sum of products", ""];
  return columns(heads, rows, most);
}
