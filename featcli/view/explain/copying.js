"use strict";

// The calculation as text, with all its digits.

/** Copy the calculation with all digits, as text that a spreadsheet takes. */
function copyButton() {
  const button = make("button", { type: "button", class: "copy", id: "copy" }, "Copy the numbers");
  button.addEventListener("click", async () => {
    const text = copied();
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const area = make("textarea", { rows: 8, readonly: true, "aria-label": "The numbers" });
      area.value = text;
      button.replaceWith(area);
      area.select();
    }
  });
  return button;
}

/** The tables and lines of the calculation, tabs between cells. */
function copied() {
  const cells = (row) => [...row.cells].map((cell) => cell.title || cell.textContent).join("\t");
  const texts = [$("detail-title").textContent, $("after").querySelector("figcaption").textContent];
  for (const node of $("calculation").querySelectorAll("table, .line")) {
    if (node.matches(".line")) texts.push(node.textContent);
    else texts.push(node.caption?.textContent ?? "", ...[...node.rows].map(cells));
  }
  return texts.join("\n");
}
