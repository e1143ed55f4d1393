// Tables that sort, figures that enlarge, and a contents bar that closes. The page is complete without it.
const number = (text) => {
  const found = text.replace(/[,\u2009\u202f]/g, "").match(/[-\u2212+]?\d*\.?\d+(?:e[-+]?\d+)?/i);
  return found ? parseFloat(found[0].replace("\u2212", "-")) : null;
};
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [text(a), text(b)], [m, n] = [number(x), number(y)];
        const order = m !== null && n !== null ? m - n : x.localeCompare(y);
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
const dialog = document.createElement("dialog");
dialog.id = "zoom";
document.body.append(dialog);
dialog.addEventListener("click", () => dialog.close());
for (const image of document.querySelectorAll("figure img")) {
  image.tabIndex = 0;
  image.setAttribute("role", "button");
  const open = () => {
    const large = image.cloneNode();
    large.removeAttribute("tabindex");
    dialog.replaceChildren(large);
    dialog.showModal();
  };
  image.addEventListener("click", open);
  image.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
  });
}
const contents = document.querySelector("nav details");
const wide = matchMedia("(min-width: 60.01rem)");
const fit = () => { contents.open = wide.matches; };
fit();
wide.addEventListener("change", fit);
contents.addEventListener("click", (event) => {
  if (event.target.closest("a") && !wide.matches) contents.open = false;
});
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.fold")) one.open = true;
});
