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

function oneKernel(texts, index, changed, rebuild) {
  const text = texts()[index];
  const set = (value) => { texts()[index] = value; changed(); };
  const number = texts().length > 1 ? ` ${index + 1}` : "";
  const own = Object.keys(given.own).map((name) => make("option", { value: `=${name}` }, `${name} (own)`));
  const select = make("select", { "aria-label": `kernel${number}` },
    ...[NONE, FORMULA, ...given.names].map((name) => make("option", { value: name }, name)), ...own);
  const formula = make("input", { "aria-label": `formula of the kernel${number}`, list: "formulas", size: 22, value: text });
  const editor = kernelEditor(given.kernels[text] || kernelRows(text.split("=").pop()) || [[0, 0, 0], [0, 1, 0], [0, 0, 0]], (rows) => {
    select.value = NONE;
    show(NONE);
    set(kernelText(rows));
  });
  const show = (kind) => {
    formula.hidden = kind !== FORMULA;
    editor.node.hidden = kind !== NONE && !given.kernels[kind];
  };
  const choose = async () => {
    show(select.value);
    if (select.value === FORMULA) return formulaChosen();
    if (select.value === NONE) return set(kernelText(editor.rows()));
    const rows = given.kernels[select.value];
    if (rows) editor.set(rows);
    return set(select.value.startsWith("=") ? given.own[select.value.slice(1)] : select.value);
  };
  const formulaChosen = () => {
    if (!formula.value.includes(":")) formula.value = "gaussian:sigma=1.5";
    set(formula.value);
  };
  select.value = kindOf(text);
  show(select.value);
  select.addEventListener("change", choose);
  formula.addEventListener("input", () => set(formula.value.trim()));
  const drop = make("button", { type: "button", class: "copy", "aria-label": `leave kernel${number} out`, onclick: () => { texts().splice(index, 1); rebuild(); changed(); } }, "×");
  return make("div", { class: "one-kernel" }, make("p", { class: "tools" }, make("label", {}, `kernel${number} `, select), formula, texts().length > 1 ? drop : null), editor.node);
}
