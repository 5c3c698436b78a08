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

const MOST_TAPS = 7; // rows and columns of a kernel that is edited

/** A table of a kernel's numbers; changed(rows) is called with every change that is right. */
class KernelEditor {
  constructor(rows, changed) {
    this.changed = changed;
    this.table = make("table", { class: "kernel" }, make("caption", {}, "the kernel: every number can be changed"));
    this.sizes = ["rows", "columns"].map((name, axis) => this.size(name, axis));
    this.problem = make("p", { class: "wrong-number", role: "alert" });
    this.node = make("div", { class: "kernel-editor" }, this.table, this.problem,
      make("p", { class: "sizes" }, this.sizes[0], " × ", this.sizes[1], " cells"));
    this.set(rows);
  }

  /** Show other numbers. */
  set(rows) {
    this.rows = rows.map((row) => [...row]);
    this.table.querySelector("tbody")?.remove();
    const line = (row, i) => make("tr", {}, ...row.map((x, j) => this.cell(x, i, j)));
    this.table.append(make("tbody", {}, ...this.rows.map(line)));
    [this.sizes[0].value, this.sizes[1].value] = [this.rows.length, this.rows[0].length];
    this.tell();
    this.colour();
  }

  /** Say which cells are no numbers: the map is still that of the kernel before. */
  tell() {
    const wrong = this.table.querySelectorAll("[aria-invalid=true]");
    this.problem.textContent = wrong.length
      ? `${[...wrong].map((one) => `'${one.value}'`).join(", ")}: give a number such as -1, 0.5 or 1/9; until then the map is that of the numbers before` : "";
  }

  cell(x, i, j) {
    const input = make("input", { value: String(Number(x.toPrecision(6))), "aria-label": `row ${i}, column ${j} of the kernel` });
    input.addEventListener("input", () => this.edit(i, j, input));
    return make("td", {}, input);
  }

  edit(i, j, input) {
    const value = fraction(input.value);
    input.setAttribute("aria-invalid", String(!Number.isFinite(value)));
    this.tell();
    if (!Number.isFinite(value)) return;
    this.rows[i][j] = value;
    this.colour();
    this.changed(this.rows);
  }

  /** Red adds, blue takes away. */
  colour() {
    const most = reachOf(this.rows.flat());
    const flat = this.rows.flat();
    this.table.querySelectorAll("input").forEach((input, i) => { input.style.background = tint(flat[i], most); });
  }

  /** How many rows, or columns: the numbers in the middle stay. */
  size(name, axis) {
    const input = make("input", { type: "number", min: 1, max: MOST_TAPS, "aria-label": `${name} of the kernel` });
    input.addEventListener("change", () => {
      const size = [this.rows.length, this.rows[0].length];
      size[axis] = Math.min(MOST_TAPS, Math.max(1, Math.round(Number(input.value)) || 1));
      this.set(resized(this.rows, ...size));
      this.changed(this.rows);
    });
    return input;
  }
}
