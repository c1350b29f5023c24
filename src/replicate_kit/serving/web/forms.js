// Models, each with a form.
// A schema in one piece: what it refers to, what all of it has to fit, and the one of several that is not null.
function folded(schema, all, depth = 8) {
  const { $ref, allOf, anyOf, oneOf, ...own } = schema ?? {};
  if (!depth) return own;
  const several = (anyOf ?? oneOf ?? []).filter((each) => each?.type !== "null"), other = several.length === 1 ? several : [];
  const parts = [...($ref ? [all[$ref.split("/").pop()]] : []), ...(allOf ?? []), ...other].map((each) => {
    const part = folded(each, all, depth - 1);
    if (part.enum) delete part.description;  // what an enumeration says of itself is of no use to anybody
    return part;
  });
  const whole = Object.assign({}, ...parts, own), types = [whole.type].flat().filter((each) => each !== "null");
  if (types.length === 1) [whole.type] = types;
  if (whole.items) whole.items = folded(whole.items, all, depth - 1);
  return whole;
}
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
  const all = document.components.schemas, input = folded(all.Input, all);
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
const UNANSWERED = new Error("The server does not answer.");
async function request(...asked) {  // a TypeError is also what faults of this page's own are
  try { return await fetch(...asked); } catch { throw UNANSWERED; }
}
let token = store(sessionStorage, "token") ?? "any";  // which will do, unless the server was told of tokens
async function call(path, body) {
  for (;;) {
    const headers = { ...(body instanceof FormData ? {} : { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await request(path, { method: "POST", headers, body: body instanceof FormData ? body : JSON.stringify(body) });
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
  const document = model.latest_version?.openapi_schema, schemas = document?.components?.schemas, output = schemas?.Output ?? {};
  if (output["x-cog-array-display"] === "concatenate") concatenated.add(name); else concatenated.delete(name);
  card.id = name;
  $(".name", card).textContent = name;
  $(".description", card).textContent = model.description ?? "";
  const badges = [model.is_official ? "" : "by version", model.visibility === "private" ? "private" : "", document ? "" : "no version",
    output["x-cog-array-type"] === "iterator" ? "streams" : "", schemas?.TrainingInput ? "trainable" : ""];
  $(".badges", card).append(...badges.filter(Boolean).map((each) => make("i", "", each)));
  const form = $("form", card);
  if (!document) { form.remove(); return card; }
  const said = $(".said", card);
  let read;
  try { read = fields($(".fields", card), document); } catch (error) {  // other models have forms
    form.replaceChildren(make("p", "failure", `There is no form, since the model's schema cannot be read: ${error.message}`));
    return card;
  }
  const body = () => ({ version: model.is_official ? name : `${name}:${model.latest_version.id}`, input: read() });
  $(".copies", card).addEventListener("click", async ({ target: { value } }) => {
    if (!value || !form.reportValidity()) return;
    said.textContent = "";
    try { await showCode($(".code", card), value, body()); } catch (error) { said.textContent = error.message; }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy) return;  // it was pressed twice
    form.ariaBusy = "true";
    said.textContent = "";
    try {
      followed = (await call("/v1/predictions", body())).id;
      reached = false;
    } catch (error) { said.textContent = error.message; }
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
