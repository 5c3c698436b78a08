"use strict";

// A flattened vector as the article shows it: one value below the other, numbered, however many.

const LINE = 26; // pixels of a line, as in the style

/** Show all values of a vector in a list of which only the lines in view exist. */
async function fullColumn(figure) {
  const number = Number(figure.dataset.layer);
  const layer = layers[number];
  const values = await numbersOf(layer.values);
  if (!values) return;
  const list = figure.querySelector("ol");
  figure.querySelector("figcaption").textContent = `All ${values.length} values in their order`;
  const drawn = layer.drawn;
  const render = () => {
    const first = Math.max(0, Math.min(Math.floor(list.scrollTop / LINE) - 4, values.length - 20));
    const last = Math.min(values.length, first + Math.ceil((list.clientHeight || 300) / LINE) + 8);
    const lines = [];
    for (let i = first; i < last; i += 1) lines.push(lineOf(number, layer, values, i, drawn));
    lines[0].style.marginTop = `${first * LINE}px`;
    lines.at(-1).style.marginBottom = `${(values.length - last) * LINE}px`;
    list.start = first;
    list.replaceChildren(...lines);
  };
  list.addEventListener("scroll", render, { passive: true });
  render();
}

/** One line: the number, a cell in its colour, and the value; a click opens it. */
function lineOf(number, layer, values, index, drawn) {
  const [red, green, blue] = colourAt(values[index], drawn);
  const cell = make("i", { style: { background: `rgb(${red} ${green} ${blue})` } });
  const text = exact(values[index], layer.double);
  const go = () => open(number, 0, Math.floor(index / layer.wrap), index % layer.wrap);
  return make("li", {}, make("button", { type: "button", onclick: go, title: `index ${index}` },
    make("b", {}, String(index)), " ", cell, text));
}
