"use strict";

// The page begins, and every change runs the steps; only the newest state is asked for.

const work = { picture: null, name: "", blob: null, steps: [], counts: [], stream: null, busy: false, again: false, since: null };

/** Something has changed: run, now or as soon as the request that is on its way is back. */
function changed() {
  work.since ??= performance.now();
  if (work.busy) { work.again = true; return; }
  work.busy = true;
  runAll().finally(() => { work.busy = false; });
}

async function runAll() {
  do {
    work.again = false;
    const since = work.since;
    work.since = null;
    await runOnce();
    if (since !== null) measured(performance.now() - since);
  } while (work.again);
}

/** How long it took from the change until the pictures were drawn. */
function measured(milliseconds) {
  document.documentElement.dataset.milliseconds = milliseconds.toFixed(1);
  $("speed").textContent = `From the change to the picture: ${Math.round(milliseconds)} ms.`;
}

async function runOnce() {
  if (!work.picture) return;
  const asked = { picture: work.picture, steps: work.steps.map(wordsOf), view: $("view").value,
    shown: work.steps.map((step) => step.key).filter(Boolean) };
  const steps = [...work.steps];
  $("error").textContent = "";
  try {
    await shown(steps, await ask("/api/run", asked));
  } catch (error) {
    if (error.gone) await sendAgain().catch((other) => { $("error").textContent = other.message; });
    else $("error").textContent = error.message;
  }
}

/** Show the results, the first error, and the pipeline as texts. */
async function shown(steps, reply) {
  steps.forEach((step, i) => {
    step.problem.textContent = reply.error?.step === i ? reply.error.message : "";
    step.card.classList.toggle("wrong", reply.error?.step === i);
    if (i >= reply.steps.length) { step.result.replaceChildren(); step.key = null; }
  });
  work.counts = reply.steps.map((one) => one.parts.length);
  for (const name of ["command", "python"]) $(name).textContent = reply[name];
  work.text = reply.text;
  await Promise.all(reply.steps.map((one, i) => showResult(steps[i], one, i)));
  document.documentElement.dataset.shown = reply.steps.map((one) => one.key).join(" ");
}

/** Put text on the clipboard, or select it where that is not allowed. */
async function copy(button, name) {
  try {
    await navigator.clipboard.writeText($(name).textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($(name));
  }
}

/** Save the pipeline as its text, which featcli run takes. */
function save() {
  const link = make("a", { href: URL.createObjectURL(new Blob([`${work.text || ""}\n`], { type: "text/plain" })), download: "pipeline.txt" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function load() {
  try {
    const { steps } = await ask("/api/parse", { text: await $("load").files[0].text() });
    work.steps = steps.map((words) => readWords(newStep(words[0]), words));
    for (const step of work.steps) cardOf(step);
    arrange();
  } catch (error) {
    $("error").textContent = error.message;
  }
  $("load").value = "";
}

async function classify() {
  $("model-error").textContent = "";
  $("classes").replaceChildren(make("p", { class: "hint" }, "one moment"));
  try {
    const { classes } = await ask("/api/classify", { picture: work.picture, model: $("model").value });
    const top = Math.max(...classes.map(([, share]) => share), 1e-9);
    const row = ([label, share]) => make("tr", {}, make("th", { scope: "row" }, label),
      make("td", {}, make("meter", { min: 0, max: Math.max(1, top), value: share, "aria-label": label })), make("td", { class: "share" }, `${(100 * share).toFixed(2)}%`));
    $("classes").replaceChildren(make("table", { class: "scores" }, make("tbody", {}, ...classes.map(row))));
  } catch (error) {
    $("classes").replaceChildren();
    $("model-error").textContent = error.message;
  }
}

async function addModel() {
  const [file] = $("model-file").files;
  $("model-error").textContent = "";
  try {
    const found = await ask("/api/model", file, file.name);
    if (![...$("model").options].some((one) => one.value === found.id)) $("model").append(make("option", { value: found.id }, found.name));
    $("model").value = found.id;
  } catch (error) {
    $("model-error").textContent = error.message;
  }
  $("model-file").value = "";
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

/** Draw every step by another view. */
function redraw() {
  for (const step of work.steps) step.key = null;
  changed();
}

/** The stages in groups, to choose from. */
function fillStages() {
  const groups = new Map();
  for (const one of given.stages) groups.set(one.group, [...(groups.get(one.group) || []), one]);
  $("stage").replaceChildren(...[...groups].map(([name, stages]) => make("optgroup", { label: name }, ...stages.map((one) => make("option", { value: one.name }, one.name)))));
  $("stage").value = "convolve";
  const tell = () => { $("stage-summary").textContent = STAGES.get($("stage").value).summary; };
  $("stage").addEventListener("change", tell);
  tell();
}

function begin() {
  document.documentElement.classList.add("scripted");
  fillStages();
  document.body.append(make("datalist", { id: "formulas" }, ...given.formulas.map((one) => make("option", { value: one.usage }, one.title))));
  $("model").replaceChildren(...given.models.map((one) => make("option", { value: one.id }, one.name)));
  $("add").addEventListener("click", () => add(newStep($("stage").value)));
  $("theme").addEventListener("click", theme);
  for (const name of ["command", "python"]) $(`copy-${name}`).addEventListener("click", (event) => copy(event.target, name));
  $("view").addEventListener("change", redraw);
  $("save").addEventListener("click", save);
  $("load").addEventListener("change", load);
  $("classify").addEventListener("click", classify);
  $("explain-model").addEventListener("click", () => openPage({ picture: work.picture, model: $("model").value }, "", "model-error"));
  $("model-file").addEventListener("change", addModel);
  $("camera-start").addEventListener("click", startCamera);
  $("camera-take").addEventListener("click", takeCamera);
  connectDrop();
  for (const name of ["convolve", "relu", "pool"]) add(newStep(name));
  connectGiven();
}

begin();
