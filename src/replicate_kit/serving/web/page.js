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
root.dataset.theme = store(localStorage, "theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
$("#theme").addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  store(localStorage, "theme", root.dataset.theme);
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
  if (!$(".input", card).childElementCount) describe($(".input", card), it.input);
  const done = Boolean(it.completed_at), part = progress(it.logs);
  $(".bar", card).hidden = done || part === null;
  $(".bar i", card).style.width = `${part ?? 0}%`;
  $(".logs", card).hidden = !it.logs;
  rewrite($(".logs pre", card), it.logs.replaceAll(/[^\n]*\r/g, ""));
  $(".cancel", card).hidden = done || it.status === "canceled";
  $(".id", card).textContent = it.id;
  const seconds = it.metrics?.total_time;
  const when = new Date(it.created_at).toLocaleTimeString([], { hour12: false });
  $(".time", card).textContent = seconds === undefined ? when : `${lasted(seconds)} · ${when}`;
}
function newCard(it) {
  const card = $("#prediction").content.firstElementChild.cloneNode(true);
  $(".name", card).addEventListener("click", () => openForm(it.model));
  $(".cancel", card).addEventListener("click", async () => {
    card.focus();  // the button goes
    try { await call(`/v1/${it.kind}s/${it.id}/cancel`, {}); } catch (error) { rewrite($(".said", card), told(error)); }
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
    draw(cards.get(it.id), it);
  }
  follow(list);
  $("#noprediction").hidden = list.length > 0;
  $("#running").textContent = list.filter((each) => !each.completed_at && !each.data_removed).length;
}

// Models, each with a form.
const folded = (schema, all) => {  // what an enumeration says of itself is of no use to anybody
  if (!schema.allOf) return schema;
  const { description, ...named } = all[schema.allOf[0].$ref.split("/").pop()];
  return { ...named, ...schema };
};
const PLAIN = ["string", "integer", "number", "boolean"];
const isURL = (schema) => schema?.format === "uri";
const LEAST = (schema) => schema.minimum ?? schema.exclusiveMinimum, MOST = (schema) => schema.maximum ?? schema.exclusiveMaximum;
function problem(schema, value) {  // what browsers do not check by themselves
  if (typeof value === "number") {
    if (schema.type === "integer" && !Number.isSafeInteger(value)) return "Browsers cannot send a number of so many digits exactly.";
    if (value <= schema.exclusiveMinimum) return `Must be more than ${schema.exclusiveMinimum}.`;
    if (value >= schema.exclusiveMaximum) return `Must be less than ${schema.exclusiveMaximum}.`;
  }
  if (typeof value === "string") {  // the API counts an emoji as one character, which minlength does not
    const length = [...value].length;
    if (length < schema.minLength) return `At least ${schema.minLength} characters; these are ${length}.`;
    if (length > schema.maxLength) return `At most ${schema.maxLength} characters; these are ${length}.`;
  }
  if (schema.type === "array" && !Array.isArray(value)) return 'Write a JSON array, such as ["a", "b"].';
  if (schema.type === "object" && (Array.isArray(value) || Object(value) !== value)) return 'Write a JSON object, such as {"a": 1}.';
  return "";
}
// A control gives its element and what reads it: undefined is left out, so that the model's default counts.
function choice(schema, required) {
  const select = make("select"), chosen = schema.default;
  if (chosen === undefined || chosen === null) select.append(Object.assign(make("option", "", required ? "choose…" : "(left out)"), { value: "" }));
  select.append(...schema.enum.map((each) => Object.assign(make("option", "", String(each)), { value: JSON.stringify(each) })));
  if (select.options[0].value) select.value = JSON.stringify(chosen);
  return [select, () => (select.value === "" || (!required && select.value === JSON.stringify(chosen)) ? undefined : JSON.parse(select.value))];
}
function box(schema, required) {
  const field = Object.assign(make("input"), { type: "checkbox", checked: Boolean(schema.default) });
  return [field, () => (required || field.checked !== Boolean(schema.default) ? field.checked : undefined)];
}
function entry(schema) {
  const number = schema.type === "integer" || schema.type === "number", plain = PLAIN.includes(schema.type);
  const type = number ? "number" : isURL(schema) ? "url" : schema.format === "password" || schema["x-cog-secret"] ? "password" : "";
  const field = type ? Object.assign(make("input"), { type, autocomplete: "off" }) : Object.assign(make("textarea"), { rows: 1 });
  if (number) Object.assign(field, { step: schema.type === "integer" ? 1 : "any", min: LEAST(schema) ?? "", max: MOST(schema) ?? "" });
  const read = () => (field.value === "" ? undefined : number ? Number(field.value) : plain ? field.value : JSON.parse(field.value));
  field.addEventListener("input", () => {
    let wrong = "";
    try { const value = read(); wrong = value === undefined ? "" : problem(schema, value); } catch { wrong = "This is no JSON; write texts in double quotes."; }
    field.setCustomValidity(wrong);
  });
  return [field, read];
}
// A file that is chosen is uploaded at once: then its URL stands in the form, and in the code that is copied.
function picker(field, schema, label) {
  const many = schema.type === "array", input = Object.assign(make("input"), { type: "file", multiple: many });
  input.setAttribute("aria-label", `Upload for ${label}`);
  input.addEventListener("change", async () => {
    const urls = [];
    let wrong = "";
    field.setCustomValidity("The upload is on its way.");
    try {
      for (const file of input.files) {
        const body = new FormData();
        body.append("content", file);
        urls.push((await call("/v1/files", body)).urls.get);
      }
    } catch (error) { wrong = `Not uploaded: ${error.message}`; }
    if (!wrong && urls.length) field.value = many ? JSON.stringify(urls) : urls[0];
    field.setCustomValidity(wrong);
    if (wrong) field.reportValidity(); else field.dispatchEvent(new Event("input"));
  });
  return input;
}
function hint(schema) {
  const [least, most] = [LEAST(schema), MOST(schema)], chosen = schema.enum || schema.type === "boolean" ? null : schema.default ?? null;
  const bounds = least === undefined ? (most === undefined ? "" : `up to ${most}`) : most === undefined ? `from ${least}` : `${least} to ${most}`;
  const value = typeof chosen === "string" ? chosen : JSON.stringify(chosen);
  const written = schema.enum || PLAIN.includes(schema.type) ? "" : "as JSON";
  return [schema.description, written, bounds, chosen === null || chosen === "" ? "" : `default ${shortened(value, 200)}`].filter(Boolean).join(" · ");
}
let fieldCount = 0;
function fields(form, document) {
  const all = document.components.schemas, input = all.Input ?? {};
  const sorted = Object.entries(input.properties ?? {}).map(([name, each]) => [name, folded(each, all)])
    .sort(([, a], [, b]) => (a["x-order"] ?? 0) - (b["x-order"] ?? 0));
  const readers = {};
  for (const [name, schema] of sorted) {
    const required = Boolean(input.required?.includes(name));
    const [field, read] = schema.enum ? choice(schema, required) : schema.type === "boolean" ? box(schema, required) : entry(schema);
    const line = make("div", MAIN.includes(name) ? "field wide" : "field"), label = make("label");
    field.id = label.htmlFor = `field-${++fieldCount}`;
    field.required = required && schema.type !== "boolean";
    label.append(make("b", "", name));
    if (field.required) label.append(" ", make("span", "required", "required"));
    line.append(label, field);
    if (isURL(schema) || isURL(schema.items)) line.append(picker(field, schema, name));
    const text = hint(schema);
    if (text) {
      line.append(Object.assign(make("p", "hint", text), { id: `${field.id}-hint` }));
      field.setAttribute("aria-describedby", `${field.id}-hint`);
    }
    form.append(line);
    readers[name] = read;
  }
  return () => Object.fromEntries(Object.entries(readers).map(([name, read]) => [name, read()]).filter(([, value]) => value !== undefined));
}
const told = (error) => (error instanceof TypeError ? "The server does not answer." : error.message);
let token = store(sessionStorage, "token") ?? "any";  // which will do, unless the server was told of tokens
async function call(path, body) {
  for (;;) {
    const headers = { ...(body instanceof FormData ? {} : { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await fetch(path, { method: "POST", headers, body: body instanceof FormData ? body : JSON.stringify(body) });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    if (response.status !== 401) throw new Error(answer.detail ?? `HTTP ${response.status}`);
    token = prompt("This server wants an API token.") ?? "";
    if (!token) throw new Error("A token is needed.");
    store(sessionStorage, "token", token);
  }
}
async function showCode(shown, language, body) {
  const code = (await call(`/_page/snippets?${new URLSearchParams({ secret })}`, body))[language];
  shown.hidden = false;
  $("pre", shown).textContent = code;
  const said = [await copied(code) ? "Copied." : "Select it and copy.", "Set REPLICATE_API_TOKEN first: any text will do, unless the server was started with --token.",
    code.includes("[secret]") ? "Write your secret in place of [secret]." : "",
    location.protocol === "https:" ? "Have the client trust the server's certificate, as the lines say that the server printed." : ""];
  $("p", shown).textContent = said.filter(Boolean).join(" ");
}
const forms = new Map();  // what is written in a form stays there until its model changes
function modelCard(model, name) {
  const card = $("#model").content.firstElementChild.cloneNode(true);
  const document = model.latest_version?.openapi_schema, output = document?.components.schemas.Output ?? {};
  if (output["x-cog-array-display"] === "concatenate") concatenated.add(name); else concatenated.delete(name);
  card.id = name;
  $(".name", card).textContent = name;
  $(".description", card).textContent = model.description ?? "";
  const badges = [model.is_official ? "" : "by version", model.visibility === "private" ? "private" : "", document ? "" : "no version",
    output["x-cog-array-type"] === "iterator" ? "streams" : "", document?.components.schemas.TrainingInput ? "trainable" : ""];
  $(".badges", card).append(...badges.filter(Boolean).map((each) => make("i", "", each)));
  const form = $("form", card);
  if (!document) { form.remove(); return card; }
  const read = fields($(".fields", card), document), said = $(".said", card);
  const body = () => ({ version: model.is_official ? name : `${name}:${model.latest_version.id}`, input: read() });
  $(".copies", card).addEventListener("click", async ({ target: { value } }) => {
    if (!value || !form.reportValidity()) return;
    said.textContent = "";
    try { await showCode($(".code", card), value, body()); } catch (error) { said.textContent = told(error); }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy) return;  // it was pressed twice
    form.ariaBusy = "true";
    said.textContent = "";
    try {
      followed = (await call("/v1/predictions", body())).id;
      reached = false;
    } catch (error) { said.textContent = told(error); }
    form.ariaBusy = null;
    look();
  });
  form.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
  return card;
}
function showModels(list) {
  $("#modelcount").textContent = list.length;
  const drawn = list.map((model) => {
    const name = `${model.owner}/${model.name}`, written = JSON.stringify(model), known = forms.get(name);
    if (known?.written === written) return known.card;
    const card = modelCard(model, name);
    card.open = known?.card.open ?? false;
    forms.set(name, { written, card });
    return card;
  });
  $("#models").replaceChildren(...drawn);
}
function openForm(name) {
  const card = forms.get(name)?.card;
  if (card) { card.open = true; card.scrollIntoView(); }
}
const openNamed = () => openForm(decoded(location.hash.slice(1)));  // the one that the page's address names
addEventListener("hashchange", openNamed);

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
    const response = await fetch(`/_page/state?${new URLSearchParams({ since, models: tag, secret })}`);
    if (!response.ok) throw new Error((await response.json()).detail);
    const state = await response.json();
    $("#trouble").hidden = true;
    for (const name of ["created", "calls", "faults"]) $(`#${name}`).textContent = state[name].toLocaleString("en");
    $("#faults").parentElement.classList.toggle("some", state.faults > 0);
    $("#base").textContent = state.base_url;
    $("#clock").textContent = new Date(state.now * 1000).toLocaleTimeString([], { hour12: false });
    if (state.models) showModels(state.models);
    if (!tag) openNamed();
    showRequests(state.requests, since === 0);
    showPredictions(state.predictions);
    [since, tag] = [state.cursor, state.models_tag];
  } catch (error) {
    $("#trouble").hidden = false;
    $("#trouble").textContent = error instanceof TypeError ? `${told(error)} It is asked again every second.` : told(error);
  }
  looking = false;
  timer = setTimeout(look, again ? 0 : document.hidden ? 5000 : 1000);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
