"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);
const cards = all(".card").map((card) => ({
  card, kinds: card.dataset.kinds.split(" "), words: card.textContent.toLowerCase(),
}));
const search = one("input[type=search]");
let kind = "";

function show() {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const each of cards) {
    const fits = (!kind || each.kinds.includes(kind)) && words.every((word) => each.words.includes(word));
    each.card.hidden = !fits;
  }
  for (const section of all("section")) section.hidden = !one(".card:not([hidden])", section);
  one(".empty").hidden = cards.some((each) => !each.card.hidden);
}

for (const button of all("[data-kind]")) {
  button.addEventListener("click", () => {
    kind = button.dataset.kind;
    for (const each of all("[data-kind]")) each.setAttribute("aria-pressed", String(each === button));
    show();
  });
}
search.addEventListener("input", show);

// Pages that are opened as files may be denied a place to remember things in.
const remembered = { get() { try { return localStorage.getItem("theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("theme", theme); } catch { /* the next page asks the system again */ } } };
const root = document.documentElement;
if (remembered.get()) root.dataset.theme = remembered.get();
one(".theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remembered.set(root.dataset.theme);
});

const viewer = one(".viewer");
let shown = null;

function look(picture) {
  shown = picture;
  one("img", viewer).src = picture.href;
  one("figcaption", viewer).textContent = one(".caption", picture.closest(".card"))?.textContent ?? "";
  if (!viewer.open) viewer.showModal();
}

function step(by) {
  const pictures = all(".card:not([hidden]) .picture");
  look(pictures[(pictures.indexOf(shown) + by + pictures.length) % pictures.length]);
}

for (const picture of all(".picture")) {
  picture.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    look(picture);
  });
}
one(".previous", viewer).addEventListener("click", () => step(-1));
one(".next", viewer).addEventListener("click", () => step(1));
one(".close", viewer).addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target.tagName !== "BUTTON" && event.target.tagName !== "IMG") viewer.close(); });
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
