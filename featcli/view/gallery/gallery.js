"use strict";
(() => {
  const tiles = [...document.querySelectorAll("li button")];
  const large = document.getElementById("large");

  // One tile of the page takes the Tab key; the arrow keys move from tile to tile.
  const focus = (tile) => {
    for (const one of tiles) one.tabIndex = -1;
    tile.tabIndex = 0;
    tile.focus();
  };

  // The tile in the next line, up or down, whose middle is nearest to this one's.
  const beside = (tile, down) => {
    const here = tile.getBoundingClientRect();
    const middle = here.left + here.width / 2;
    let best = null, least = Infinity;
    for (const one of tiles) {
      const there = one.getBoundingClientRect();
      const step = down ? there.top - here.top : here.top - there.top;
      if (step < 5) continue;
      const distance = step * 1000 + Math.abs(there.left + there.width / 2 - middle);
      if (distance < least) [best, least] = [one, distance];
    }
    return best;
  };

  const open = (tile) => {
    const picture = tile.querySelector("img");
    if (!picture) return;
    large.querySelector("img").src = picture.src;
    large.querySelector("p").textContent = tile.querySelector(".text").innerText.replace("\n", ": ");
    large.showModal();
  };

  const targets = {
    ArrowRight: (n) => tiles[n + 1],
    ArrowLeft: (n) => tiles[n - 1],
    ArrowDown: (n) => beside(tiles[n], true),
    ArrowUp: (n) => beside(tiles[n], false),
    Home: () => tiles[0],
    End: () => tiles[tiles.length - 1],
  };

  document.querySelector("main").addEventListener("keydown", (event) => {
    const number = tiles.indexOf(event.target);
    const target = number >= 0 && targets[event.key] && targets[event.key](number);
    if (!target) return;
    event.preventDefault();
    focus(target);
  });
  document.querySelector("main").addEventListener("click", (event) => {
    const tile = event.target.closest("li button");
    if (tile) open(tile);
  });
  document.getElementById("close").addEventListener("click", () => large.close());
  large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
  tiles.forEach((tile, number) => { tile.tabIndex = number ? -1 : 0; });
})();
