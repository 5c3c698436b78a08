"use strict";

// The form of a step, made from the stage's declaration; and the words that it stands for.

const STAGES = new Map(given.stages.map((one) => [one.name, one]));
let counted = 0;

/** A new step: the stage's name and what its controls say. */
function newStep(name) {
  return { name, stage: STAGES.get(name), values: new Map(), id: (counted += 1), key: null };
}

/** The step as words of a pipeline: only what differs from the defaults. */
function wordsOf(step) {
  const words = [step.name];
  for (const param of step.stage.params) {
    const value = step.values.get(param.option);
    if (param.flag) {
      if (value) words.push(param.option);
    } else if (param.many) {
      for (const one of value || []) words.push(param.option, one);
    } else if (value !== undefined && value !== "" && value !== param.default) words.push(param.option, value);
  }
  return words;
}

/** Take the words of a saved pipeline over into a step. */
function readWords(step, words) {
  for (let i = 1; i < words.length; i += 1) {
    const param = step.stage.params.find((one) => one.option === words[i]);
    if (param.flag) step.values.set(param.option, true);
    else if (param.many) step.values.set(param.option, [...(step.values.get(param.option) || []), words[i += 1]]);
    else step.values.set(param.option, words[i += 1]);
  }
  return step;
}

/** The controls of a step; changed() is called after every change. */
function formOf(step, changed) {
  return make("div", { class: "form" }, ...step.stage.params.map((param) => control(step, param, changed)));
}

function control(step, param, changed) {
  if (param.metavar === "KERNEL") return kernelsControl(step, param, changed);
  const name = param.option.slice(2);
  const set = (value) => { step.values.set(param.option, value); changed(); };
  const named = { "aria-label": `${name} of step ${step.name}`, title: param.help };
  const value = step.values.get(param.option) ?? param.default;
  if (param.flag) {
    const input = make("input", { type: "checkbox", ...named });
    input.checked = Boolean(step.values.get(param.option));
    input.addEventListener("change", () => set(input.checked));
    return make("label", { title: param.help }, input, ` ${name}`);
  }
  if (param.choices.length) {
    const select = make("select", named, ...param.choices.map((one) => make("option", { value: one }, one)));
    select.value = value;
    select.addEventListener("change", () => set(select.value));
    return make("label", { title: param.help }, `${name} `, select);
  }
  const input = make("input", { ...named, size: 8, value, placeholder: param.metavar, inputmode: /^[NX]/.test(param.metavar) ? "decimal" : "text" });
  input.addEventListener("input", () => set(input.value.trim()));
  return make("label", { title: param.help }, `${name} `, input);
}

// --- Kernels

const NONE = "own numbers";
const FORMULA = "a formula";

/** One or several kernels, each named, by a formula, or with its numbers. */
function kernelsControl(step, param, changed) {
  if (!step.values.get(param.option)) step.values.set(param.option, ["vertical"]);
  const box = make("div", { class: "kernels" });
  const texts = () => step.values.get(param.option);
  const build = () => box.replaceChildren(...texts().map((_, i) => oneKernel(texts, i, changed, build)),
    make("p", { class: "tools" }, make("button", { type: "button", class: "copy", onclick: () => { texts().push("horizontal"); build(); changed(); } }, "Add a kernel"),
      fileButton("Own kernel from a file", ".toml,.json,.csv,.txt,.npy", async (file) => {
        const found = await ask("/api/kernel-file", file, file.name);
        texts()[texts().length - 1] = found.text;
        build();
        changed();
      })));
  build();
  return box;
}

/** A button that takes a file; what goes wrong is said beside it. */
function fileButton(name, accept, take) {
  const input = make("input", { type: "file", accept });
  const problem = make("span", { class: "problem", role: "alert" });
  input.addEventListener("change", async () => {
    problem.textContent = "";
    try {
      await take(input.files[0]);
    } catch (error) {
      problem.textContent = error.message;
    }
    input.value = "";
  });
  return make("span", {}, make("label", { class: "button copy" }, `${name} `, input), problem);
}

/** Which entry of the choice a text is. */
function kindOf(text) {
  if (given.names.includes(text)) return text;
  return kernelRows(text.split("=").pop()) ? NONE : FORMULA;
}

/** The numbers of a kernel's text, as far as they are known here. */
const rowsOf = (text) => given.kernels[text] || kernelRows(text.split("=").pop());

/** One kernel of a step: named, by a formula, or with its numbers. */
class KernelChoice {
  constructor(text, number, set) {
    this.set = set;
    this.select = make("select", { "aria-label": `kernel${number}` }, ...this.options());
    this.formula = make("input", { "aria-label": `formula of the kernel${number}`, list: "formulas", size: 22, value: text });
    this.editor = new KernelEditor(rowsOf(text) || [[0, 0, 0], [0, 1, 0], [0, 0, 0]], (rows) => this.edited(rows));
    this.select.value = kindOf(text);
    this.select.addEventListener("change", () => this.chosen(this.select.value));
    this.formula.addEventListener("input", () => set(this.formula.value.trim()));
    this.show(this.select.value);
  }

  options() {
    const own = Object.keys(given.own).map((name) => make("option", { value: `=${name}` }, `${name} (own)`));
    return [...[NONE, FORMULA, ...given.names].map((name) => make("option", { value: name }, name)), ...own];
  }

  /** Show what belongs to a kind of kernel. */
  show(kind) {
    this.formula.hidden = kind !== FORMULA;
    this.editor.node.hidden = kind !== NONE && !given.kernels[kind];
  }

  edited(rows) {
    this.select.value = NONE;
    this.show(NONE);
    this.set(kernelText(rows));
  }

  chosen(kind) {
    this.show(kind);
    if (given.kernels[kind]) this.editor.set(given.kernels[kind]);
    if (kind === NONE) this.set(kernelText(this.editor.rows));
    else if (kind === FORMULA) this.set(this.begun());
    else this.set(kind.startsWith("=") ? given.own[kind.slice(1)] : kind);
  }

  /** A formula to begin with. */
  begun() {
    if (!this.formula.value.includes(":")) this.formula.value = "gaussian:sigma=1.5";
    return this.formula.value;
  }
}

function oneKernel(texts, index, changed, rebuild) {
  const number = texts().length > 1 ? ` ${index + 1}` : "";
  const choice = new KernelChoice(texts()[index], number, (text) => { texts()[index] = text; changed(); });
  const drop = make("button", { type: "button", class: "copy", "aria-label": `leave kernel${number} out`, onclick: () => { texts().splice(index, 1); rebuild(); changed(); } }, "×");
  const bar = make("p", { class: "tools" }, make("label", {}, `kernel${number} `, choice.select), choice.formula, texts().length > 1 ? drop : null);
  return make("div", { class: "one-kernel" }, bar, choice.editor.node);
}
