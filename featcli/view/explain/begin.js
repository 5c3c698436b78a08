"use strict";

// The page begins: what is clicked, pointed at or typed leads to what the other scripts do.

/** Go where the address says: #layer3/0/5/7 is a cell, #layer3 a row. */
function follow() {
  const match = /^#layer(\d+)(?:\/(\d+)(?:\/(\d+)\/(\d+))?)?$/.exec(location.hash);
  const row = match && Number(match[1]) < layers.length && rowOf(Number(match[1]));
  if (!row) return unfold();
  const block = row.closest("details");
  if (block) block.open = true;
  if (match[2] === undefined) row.scrollIntoView();
  else open(...match.slice(1).map((text) => (text === undefined ? undefined : Number(text))));
  return undefined;
}

/** Open the lesson, or the block, that the address names. */
function unfold() {
  const found = location.hash.startsWith("#lesson-") && document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`);
  for (let node = found; node; node = node.parentElement?.closest("details")) node.open = true;
  if (found) found.scrollIntoView();
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

/** Open the map that was clicked, at the very cell; by the keyboard at its strongest. */
function openClicked(event) {
  const button = event.target.closest(".map button");
  if (!button) return;
  const number = Number(button.dataset.layer);
  const { rows, cols } = extent(layers[number]);
  const cell = event.detail && event.clientX ? cellAt(event, button.firstElementChild, rows, cols) : [];
  open(number, Number(button.dataset.place), ...cell);
}

/** Go to another layer of the same picture. */
function turn(by) {
  open(state.at.number + by, 0);
}

/** Go to the same layer and map of another picture, to the same cell. */
function other() {
  const number = Number($("picture").value) * depth + (state.at.number % depth);
  open(number, state.place, state.row, state.col);
}

/** What happens inside the detail. */
function connectDetail() {
  after.addEventListener("pointermove", (event) => { if (!state.held) { stop(); move(...pointed(event)); } });
  after.addEventListener("click", (event) => { state.held = !state.held; stop(); move(...pointed(event)); });
  for (const kind of ["pointermove", "click"]) $("before").addEventListener(kind, overOrigin);
  dialog.addEventListener("keydown", key);
  dialog.addEventListener("close", () => { stop(); note(`#layer${state.at.number % depth}`); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  $("close").addEventListener("click", () => dialog.close());
  $("play").addEventListener("click", play);
  $("progress").addEventListener("input", slide);
  $("earlier").addEventListener("click", () => turn(-1));
  $("later").addEventListener("click", () => turn(1));
  $("picture").addEventListener("change", other);
  $("map").addEventListener("change", () => { state.place = Number($("map").value); show(); });
  $("row").addEventListener("change", () => {
    const { layer } = state.at;
    const value = Number($("row").value);
    if (layer.shape.length === 3) move(value, state.col);
    else move(Math.floor(value / layer.wrap), value % layer.wrap);
  });
  $("col").addEventListener("change", () => move(state.row, Number($("col").value)));
}

/** What can be chosen. */
function fillIn() {
  for (const [choice, around] of [["picture", "picture-label"], ["overview-picture", "overview-label"]]) {
    $(choice).replaceChildren(...given.pictures.map((name, i) => make("option", { value: i }, name)));
    $(around).hidden = given.pictures.length === 1;
  }
  $("overview-picture").addEventListener("change", overview);
  if (typeof DecompressionStream === "undefined") return;
  for (const figure of document.querySelectorAll("figure.column")) fullColumn(figure);
}

/** Shade the way through the layers where more of it follows. */
function shadePath() {
  const list = document.querySelector(".path ol");
  list.classList.toggle("long", list.scrollWidth > list.clientWidth + 1);
}

function begin() {
  document.documentElement.classList.add("scripted");
  $("theme").hidden = false;
  $("theme").addEventListener("click", theme);
  for (const button of document.querySelectorAll(".map button")) button.disabled = false;
  document.addEventListener("click", openClicked);
  $("scale").addEventListener("change", rescale);
  window.addEventListener("hashchange", follow);
  window.addEventListener("resize", () => { if (dialog.open) show(); layOut(); shadePath(); });
  connectDetail();
  fillIn();
  overview();
  shadePath();
  sandbox();
  follow();
}

begin();
