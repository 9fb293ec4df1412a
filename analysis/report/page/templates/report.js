// Comfort only: the page is complete without it, and nothing here asks the network for anything.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const button = (words, className, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = className;
    made.textContent = words;
    made.addEventListener("click", act);
    return made;
  };
  const onPress = (element, act) => {
    element.addEventListener("click", act);
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        act();
      }
    });
  };

  // Legends switch a strategy off and on, in every figure and table at once.
  for (const entry of all(".legend li[data-strategy]")) {
    entry.setAttribute("role", "button");
    entry.setAttribute("aria-pressed", "true");
    entry.tabIndex = 0;
    entry.title = "Hide or show in every figure and table";
    onPress(entry, () => {
      const name = entry.dataset.strategy;
      const hidden = document.body.classList.toggle(`hide-${name}`);
      for (const other of all(`.legend li[data-strategy="${name}"]`)) {
        other.setAttribute("aria-pressed", String(!hidden));
      }
    });
  }

  // Of several boards one is shown, by a selector.
  for (const choice of all(".choice")) {
    const boards = all(":scope > .chosen", choice);
    const select = document.createElement("select");
    select.setAttribute("aria-label", "Category of prompts");
    select.append(...boards.map((board) => new Option(board.dataset.choice)));
    const pick = () => boards.forEach((board, n) => (board.hidden = n !== select.selectedIndex));
    select.addEventListener("change", pick);
    choice.prepend(select);
    pick();
  }

  // A heading sorts its table: numbers by value, dashes last.
  const number = (text) => {
    const found = text.replace(/−/g, "-").replace(/,/g, "").match(/^\s*[<>]?(-?[\d.]+|-?∞)/);
    return found ? Number(found[1].replace("∞", "Infinity")) : NaN;
  };
  const order = (one, other, sign) => {
    const [a, b] = [number(one), number(other)];
    if (Number.isNaN(a) && Number.isNaN(b)) {
      const empty = (text) => text.trim() === "–" || text.trim() === "";
      return empty(one) - empty(other) || sign * one.localeCompare(other);
    }
    return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b || 0);
  };
  for (const table of all("table.sortable")) {
    table.classList.add("ready");
    const body = table.tBodies[0];
    let column = 0;
    for (const heading of all("thead th", table)) {
      const index = column;
      column += heading.colSpan;
      heading.tabIndex = 0;
      onPress(heading, () => {
        const down = heading.getAttribute("aria-sort") !== "descending";
        all("th[aria-sort]", table).forEach((th) => th.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const text = (row) => row.cells[index]?.innerText ?? "";
        const rows = [...body.rows].sort((a, b) => order(text(a), text(b), down ? -1 : 1));
        body.append(...rows);
      });
    }
  }

  // Values of points and cells, for fingers as well as for mice.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const cell of all("td[title]")) {
    cell.dataset.tip = cell.title;
    cell.removeAttribute("title");
  }
  for (const mark of all("figure svg path > title")) {
    mark.parentElement.dataset.tip = mark.textContent;
    mark.remove();
  }
  const show = (event) => {
    const target = event.target.closest?.("[data-tip]");
    tip.hidden = !target;
    if (!target) return;
    tip.textContent = target.dataset.tip;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - width - 8);
    const above = event.clientY - height - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  document.addEventListener("pointerover", show);
  document.addEventListener("pointerdown", show);

  // Copy what is meant to be copied.
  for (const block of all(".copyable")) {
    const words = block.textContent;
    const copy = button("Copy", "copy", async () => {
      try {
        await navigator.clipboard.writeText(words);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(block);
        copy.textContent = "Selected: press Ctrl+C";
      }
    });
    block.after(copy);
  }

  // A picture opens at full size: arrows walk through its row and from row to row, and the page's
  // address names the picture.
  const pictures = all("img[data-name]");
  const rows = new Map();
  for (const picture of pictures) {
    const row = picture.closest(".strip, .ranked-row, .duelists");
    rows.set(row, [...(rows.get(row) ?? []), picture]);
  }
  const groups = [...rows.values()];
  const box = document.createElement("dialog");
  box.className = "lightbox";
  box.setAttribute("aria-label", "Picture at full size");
  const large = document.createElement("img");
  const words = document.createElement("p");
  const menu = document.createElement("menu");
  let shown = null;
  const view = (picture) => {
    shown = picture;
    large.onerror = () => {
      large.onerror = null;
      large.src = picture.src; // the run's folder is elsewhere: the small one must do
    };
    large.src = picture.dataset.full ?? picture.src;
    large.alt = words.textContent = picture.alt;
    history.replaceState(null, "", `#picture=${picture.dataset.name}`);
    if (!box.isConnected) document.body.append(box);
    if (!box.open) box.showModal();
  };
  const step = (across, down) => {
    const row = groups.findIndex((group) => group.includes(shown));
    const next = groups[(row + down + groups.length) % groups.length];
    const place = groups[row].indexOf(shown) + across;
    view(next[across ? (place + next.length) % next.length : Math.min(place, next.length - 1)]);
  };
  menu.append(
    button("Previous", "", () => step(-1, 0)),
    button("Next", "", () => step(1, 0)),
    button("Close", "", () => box.close()),
  );
  box.append(large, words, menu);
  box.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    step(...move);
  });
  box.addEventListener("click", (event) => event.target === large && box.close());
  box.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    shown?.focus();
  });
  for (const picture of pictures) {
    picture.classList.add("zoom");
    picture.tabIndex = 0;
    picture.setAttribute("role", "button");
    onPress(picture, () => view(picture));
  }
  const named = location.hash.match(/^#picture=(.+)$/)?.[1];
  const asked = pictures.find((picture) => picture.dataset.name === named);
  if (asked) {
    asked.scrollIntoView({ block: "center" });
    view(asked);
  }

  // Light or dark, whatever the system says.
  const root = document.documentElement;
  const isDark = () =>
    (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const tools = document.createElement("div");
  tools.className = "tools";
  const name = () => (isDark() ? "Light" : "Dark");
  const toggle = button(name(), "", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    toggle.textContent = name();
  });
  toggle.setAttribute("aria-label", "Light or dark");
  tools.append(toggle);
  document.body.append(tools);
})();
