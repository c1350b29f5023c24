"use strict";
const $ = (selector, root = document) => root.querySelector(selector);
const make = (tag, name = "", text = "") => Object.assign(document.createElement(tag), { className: name, textContent: text });
const rewrite = (element, text) => { if (element.textContent !== text) element.textContent = text; };  // or a selection is lost
const secret = new URLSearchParams(location.search).get("secret") ?? "";
const store = (storage, key, value) => {  // browsers may deny both
  try { return value === undefined ? storage.getItem(key) : storage.setItem(key, value); } catch { return null; }
};

// Light and dark.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => { root.dataset.theme = store(localStorage, "theme") ?? (dark.matches ? "dark" : "light"); };
dark.addEventListener("change", paint);
paint();
$("#theme").addEventListener("click", () => {
  store(localStorage, "theme", root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark");
});
async function copied(text) {  // browsers let pages do it on this machine and over HTTPS, if the user agrees
  try { await navigator.clipboard.writeText(text); return true; } catch { return false; }
}
$("#copy").addEventListener("click", async (event) => {
  event.target.textContent = (await copied($("#base").textContent)) ? "copied" : "select it";
  setTimeout(() => { event.target.textContent = "copy"; }, 1200);
});

// Outputs: what a value looks like.
const KINDS = { picture: /\.(png|jpe?g|webp|gif|svg|avif|bmp)$/i, sound: /\.(wav|mp3|ogg|flac|m4a)$/i, film: /\.(mp4|webm|mov)$/i };
const isData = (url) => /^data:/i.test(url);
const isFile = (value) => typeof value === "string" && /^(https?:\/\/\S+|data:[\w/+.-]+[;,]\S*)$/i.test(value);
function kindOf(url) {
  if (isData(url)) return { image: "picture", audio: "sound", video: "film" }[url.slice(5).split("/")[0].toLowerCase()] ?? "file";
  const path = url.split("?")[0];
  return Object.keys(KINDS).find((kind) => KINDS[kind].test(path)) ?? "file";
}
function pictures(urls, caption) {
  const box = make("div", "pictures");
  if (urls.length > 1) box.style.setProperty("--ratio", "1");
  for (const url of urls) {
    const link = Object.assign(make("a"), { href: url });
    link.append(Object.assign(make("img"), { src: url, alt: caption, loading: "lazy" }));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      $("#viewer img").src = url;
      $("#viewer p").textContent = caption;
      $("#viewer").showModal();
    });
    box.append(link);
  }
  return box;
}
$("#viewer").addEventListener("click", () => $("#viewer").close());
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }  // not everything with a % is an escape
}
const nameOf = (url) => decoded(url.split("?")[0].split("/").pop());
function element(url) {
  const kind = kindOf(url);
  if (kind === "sound") return Object.assign(make("audio"), { src: url, controls: true, preload: "none" });
  if (kind === "film") return Object.assign(make("video"), { src: url, controls: true, preload: "metadata" });
  const line = make("p", "file");
  if (isData(url)) line.append("a file");  // what a model made must not become a page by a click
  else line.append(Object.assign(make("a", "", nameOf(url)), { href: url, download: "" }));
  return line;
}
function* shown(output, caption, texts) {
  const all = Array.isArray(output) ? output : [output];
  if (all.length && all.every(isFile)) {
    const drawn = all.filter((url) => kindOf(url) === "picture");
    if (drawn.length) yield pictures(drawn, caption);
    for (const url of all) if (kindOf(url) !== "picture") yield element(url);
  } else if (texts && all.every((each) => typeof each === "string")) {
    yield make("div", "text", all.join(""));
  } else if (typeof output === "string") {
    yield make("div", "text", output);
  } else if (output !== null && output !== undefined) {
    yield make("pre", "json", JSON.stringify(output, null, 2));
  }
}

// Predictions.
const MAIN = ["prompt", "text", "query", "question", "message"];
const concatenated = new Set();
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);
function describe(box, input) {
  const main = MAIN.find((name) => typeof input[name] === "string");
  if (main) box.append(make("span", "main", input[main].slice(0, 300)));
  for (const [name, value] of Object.entries(input)) {
    if (name === main) continue;
    const chip = make("span");
    const text = typeof value === "string" ? value : JSON.stringify(value);
    chip.append(make("i", "", `${name} `), shortened(text, 60));
    box.append(chip);
  }
}
const ended = (it) => !["starting", "processing"].includes(it.status);
const lasted = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`);
function progress(logs) {
  const steps = [...logs.matchAll(/(\d{1,3})%\|/g)];
  return steps.length ? Number(steps.at(-1)[1]) : null;
}
function draw(card, it) {
  const caption = it.input.prompt ?? it.input.text ?? it.model;
  card.className = `prediction ${it.status}`;
  const output = it.kind === "training" && it.output ? it.output.version : it.output;
  const drawn = JSON.stringify([output, it.error]);
  if (card.dataset.drawn !== drawn) {  // an element that is played must not be made anew
    card.dataset.drawn = drawn;
    $(".output", card).replaceChildren(...shown(output, String(caption), concatenated.has(it.model)));
    if (it.error) $(".output", card).append(make("div", "failure", it.error));
  }
  $(".name", card).textContent = it.model + (it.kind === "training" ? " · training" : "");
  $(".name", card).href = `#${it.model}`;
  $(".status", card).textContent = it.data_removed ? `${it.status}, data removed` : it.status;
  const input = JSON.stringify(it.input);
  if (card.dataset.input !== input) {  // records may be loaded again with another one
    card.dataset.input = input;
    $(".input", card).replaceChildren();
    describe($(".input", card), it.input);
  }
  const done = ended(it), part = progress(it.logs);
  $(".bar", card).hidden = done || part === null;
  $(".bar i", card).style.width = `${part ?? 0}%`;
  $(".logs", card).hidden = !it.logs;
  rewrite($(".logs pre", card), it.logs.replaceAll(/[^\n]*\r/g, ""));
  $(".cancel", card).hidden = done;
  $(".id", card).textContent = it.id;
  const seconds = it.metrics?.total_time;
  const when = new Date(it.created_at).toLocaleTimeString([], { hour12: false });
  $(".time", card).textContent = typeof seconds !== "number" ? when : `${lasted(seconds)} · ${when}`;
}
function newCard(it) {
  const card = $("#prediction").content.firstElementChild.cloneNode(true);
  $(".name", card).addEventListener("click", () => openForm(it.model));
  $(".cancel", card).addEventListener("click", async () => {
    card.focus();  // the button goes
    try { await call(`/v1/${it.kind}s/${it.id}/cancel`, {}); } catch (error) { rewrite($(".said", card), error.message); }
    look();
  });
  for (const part of card.children) heights.observe(part);
  return card;
}
// Rows of a grid are as high as their highest card; many low rows let each card begin where the one above ends.
const ROW = 4, GAP = 16;
const heights = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const card = target.closest(".prediction"), height = [...card.children].reduce((sum, each) => sum + each.offsetHeight, 2);
    for (const part of card.querySelectorAll(".text, .failure, pre")) part.tabIndex = part.scrollHeight > part.clientHeight ? 0 : -1;
    card.style.gridRowEnd = `span ${Math.ceil((height + GAP) / ROW)}`;
  }
});
const cards = new Map();
let followed = "", reached = false;  // the prediction that this page started last, and whether its card was shown
function follow(list) {
  const it = list.find((each) => each.id === followed);
  if (!it) return;
  const card = cards.get(it.id);
  if (!reached) { card.focus({ preventScroll: true }); card.scrollIntoView(); }
  reached = true;
  rewrite($("#said"), `${it.model}: ${it.status}. ${it.error ?? ""}`);
}
function showPredictions(list) {
  const box = $("#predictions"), kept = new Set(list.map((each) => each.id));
  for (const [id, card] of cards) if (!kept.has(id)) { card.remove(); cards.delete(id); }
  for (const it of [...list].reverse()) {
    if (!cards.has(it.id)) {
      cards.set(it.id, newCard(it));
      box.prepend(cards.get(it.id));
    }
    try { draw(cards.get(it.id), it); } catch (error) { rewrite($(".said", cards.get(it.id)), `This cannot be shown: ${error.message}`); }
  }
  follow(list);
  $("#noprediction").hidden = list.length > 0;
  $("#running").textContent = list.filter((each) => !ended(each)).length;
}

// Requests.
const lines = new Map();
function showRequests(list, first) {
  for (const it of list) {
    const known = lines.get(it.number), line = known ?? make("li", first ? "" : "new");
    line.classList.toggle("ok", it.status >= 200 && it.status < 400);
    line.classList.toggle("no", it.status >= 400 && it.status < 500);
    line.classList.toggle("broken", it.status === 0 || it.status >= 500);
    const what = make("span", "what"), took = make("span", "took");
    what.append(make("b", "", it.operation || it.method), make("span", "path", `${it.method} ${it.target}`));
    what.title = `${it.method} ${it.target}\n${it.agent}`;
    took.append(it.seconds === null ? "…" : lasted(it.seconds), make("small", "", new Date(it.at * 1000).toLocaleTimeString([], { hour12: false })));
    line.replaceChildren(make("span", "code", it.status === null ? "···" : it.status || "cut"), what, took);
    if (!known) { lines.set(it.number, line); $("#requests").prepend(line); }
  }
  while (lines.size > 200) { const [number, line] = lines.entries().next().value; line.remove(); lines.delete(number); }
  $("#norequest").hidden = lines.size > 0;
}

// What the server says now, again and again.
let since = 0, tag = "", timer = null, looking = false, again = false;
async function look() {
  again = looking;  // what was asked before may not know what has just been done
  if (looking) return;
  looking = true;
  clearTimeout(timer);
  try {
    const response = await request(`/_page/state?${new URLSearchParams({ since, models: tag, secret })}`);
    if (!response.ok) throw new Error((await response.json()).detail);
    const state = await response.json();
    $("#trouble").hidden = true;
    for (const name of ["created", "calls", "faults"]) $(`#${name}`).textContent = state[name].toLocaleString("en");
    $("#faults").parentElement.classList.toggle("some", state.faults > 0);
    rewrite($("#base"), state.base_url);
    document.title = `Replicate in a box, ${new URL(state.base_url).host}`;
    $("#clock").textContent = new Date(state.now * 1000).toLocaleTimeString([], { hour12: false });
    if (state.models) showModels(state.models);
    if (!tag) openNamed();
    showRequests(state.requests, since === 0);
    showPredictions(state.predictions);
    $("#shown").textContent = state.predictions.length < state.created ? `the newest ${state.predictions.length} of ${state.created.toLocaleString("en")}` : "newest first";
    [since, tag] = [state.cursor, state.models_tag];
  } catch (error) {
    $("#trouble").hidden = false;
    $("#trouble").textContent = error === UNANSWERED ? `${error.message} It is asked again every second.` : error.message;
  }
  looking = false;
  timer = setTimeout(look, again ? 0 : document.hidden ? 5000 : 1000);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
addEventListener("DOMContentLoaded", look);  // all of the script has run then
