"use strict";

// A kernel as a table of numbers that can be edited, begun from a named one.

/** The rows of numbers of a kernel's text, such as "-1 0 1; -1 0 1"; null if it is none. */
function kernelRows(text) {
  const rows = text.trim().split(/\s*[;\n]\s*/).map((row) => row.trim().split(/[\s,]+/).map(fraction));
  const right = rows.every((row) => row.length === rows[0].length && row.every(Number.isFinite));
  return right ? rows : null;
}

/** Read a number, also written as 1/9; NaN if it is none. */
function fraction(text) {
  const [top, bottom, more] = String(text).trim().split("/");
  if (more !== undefined || top.trim() === "") return NaN;
  return bottom === undefined ? Number(top) : Number(top) / Number(bottom);
}

/** Write rows of numbers as featcli reads them. */
const kernelText = (rows) => rows.map((row) => row.map(String).join(" ")).join("; ");

/** Rows with another size, the middle kept. */
function resized(rows, tall, wide) {
  const [down, across] = [Math.floor((rows.length - tall) / 2), Math.floor((rows[0].length - wide) / 2)];
  return Array.from({ length: tall }, (_, i) => Array.from({ length: wide }, (__, j) => rows[i + down]?.[j + across] ?? 0));
}

/**
 * Make an editor of a kernel's numbers; changed(rows) is called with every change that is right.
 * Returns { node, set(rows), rows() }.
 */
function kernelEditor(rows, changed) {
  let current = rows;
  const table = make("table", { class: "kernel" }, make("caption", {}, "the kernel: every number can be changed"));
  const sizes = ["rows", "columns"].map((name, axis) => {
    const input = make("input", { type: "number", min: 1, max: 7, "aria-label": `${name} of the kernel` });
    input.addEventListener("change", () => {
      const size = [current.length, current[0].length];
      size[axis] = Math.min(7, Math.max(1, Math.round(Number(input.value)) || 1));
      set(resized(current, ...size));
      changed(current);
    });
    return input;
  });
  const edit = (i, j, input) => {
    const value = fraction(input.value);
    input.setAttribute("aria-invalid", String(!Number.isFinite(value)));
    if (!Number.isFinite(value)) return;
    current[i][j] = value;
    colour();
    changed(current);
  };
  const colour = () => {
    const most = reachOf(current.flat());
    for (const input of table.querySelectorAll("input")) {
      input.style.background = tint(current[input.dataset.row][input.dataset.col], most);
    }
  };
  const cell = (x, i, j) => {
    const input = make("input", { value: String(Number(x.toPrecision(6))), inputmode: "text", "aria-label": `row ${i}, column ${j} of the kernel`, "data-row": i, "data-col": j });
    input.addEventListener("input", () => edit(i, j, input));
    return make("td", {}, input);
  };
  function set(next) {
    current = next.map((row) => [...row]);
    table.querySelector("tbody")?.remove();
    table.append(make("tbody", {}, ...current.map((row, i) => make("tr", {}, ...row.map((x, j) => cell(x, i, j))))));
    [sizes[0].value, sizes[1].value] = [current.length, current[0].length];
    colour();
  }
  set(rows);
  const node = make("div", { class: "kernel-editor" }, table,
    make("p", { class: "sizes" }, sizes[0], " × ", sizes[1], " cells"));
  return { node, set, rows: () => current };
}
