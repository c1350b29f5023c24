// The whole surface of the npm package `replicate` against the server in REPLICATE_BASE_URL; what came of it, as JSON.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.INTEROP_NODE}/`);
const Replicate = require("replicate");
const { validateWebhook } = Replicate;

const replicate = new Replicate({ auth: process.env.REPLICATE_API_TOKEN, baseUrl: `${process.env.REPLICATE_BASE_URL}/v1` });
const SMALL = { prompt: "sea", width: 16, height: 16 };
const found = {};
const collect = async (items) => { const all = []; for await (const each of items) all.push(each); return all; };
const bytes = async (file) => Buffer.from(await (await file.blob()).arrayBuffer());
const failure = async (promise) => { try { await promise; return null; } catch (error) { return error; } };

// Run, in both modes; streams.
const [picture] = await replicate.run("demo/painter", { input: SMALL });
found["run"] = [picture.constructor.name, (await bytes(picture)).subarray(1, 4).toString(), picture.url().protocol];
const seen = [];
const [again] = await replicate.run("demo/painter", { input: SMALL, wait: { mode: "poll", interval: 50 } }, (it) => seen.push(it.status));
found["run by polling"] = [(await bytes(again)).subarray(1, 4).toString(), seen.at(-1)];
found["run text"] = (await replicate.run("demo/poet", { input: { prompt: "sea" } })).join("").length > 0;
found["stream"] = (await collect(replicate.stream("demo/poet", { input: { prompt: "sea", lines: 1 } }))).at(-1).event;
const files = await collect(replicate.stream("demo/painter", { input: SMALL }));
found["stream files"] = files.map((each) => each.event);
found["failure"] = (await failure(replicate.run("demo/flaky", { input: { prompt: "x", failure_rate: 1 } }))).message;
const aborter = new AbortController();
setTimeout(() => aborter.abort(), 300);
await failure(replicate.run("demo/slow", { input: { seconds: 600 }, wait: { mode: "poll", interval: 50 }, signal: aborter.signal }));
found["abort"] = (await replicate.predictions.list()).results.find((each) => each.model === "demo/slow").status;

// Predictions.
const slow = await replicate.predictions.create({ model: "demo/slow", input: { seconds: 600 } });
found["cancel"] = (await replicate.predictions.cancel(slow.id)).status;
const quick = await replicate.wait(await replicate.predictions.create({ model: "demo/slow", input: { seconds: 0 } }), { interval: 20 });
found["wait"] = [quick.status, quick.output];
const held = await replicate.predictions.create({ model: "demo/slow", input: { seconds: 0 }, wait: 5 });
found["hold"] = held.output;
found["predictions.get"] = (await replicate.predictions.get(quick.id)).output;
found["pages of models"] = (await collect(replicate.paginate(replicate.models.list))).map((page) => page.length).length > 1;

// Files.
const file = await replicate.files.create(Buffer.from("hello"), { a: 1 });
found["files"] = [file.size, file.metadata, (await replicate.files.get(file.id)).checksums.sha256 === file.checksums.sha256];
found["files.list"] = (await replicate.files.list()).results.some((each) => each.id === file.id);
found["files.delete"] = await replicate.files.delete(file.id);
found["a deleted file"] = (await failure(replicate.files.get(file.id))).response.status;
found["a file as input"] = await replicate.run("acme/size", { input: { file: Buffer.from("12345") } });

// Models, versions, collections, hardware, account.
found["account"] = (await replicate.accounts.current()).username;
found["hardware"] = (await replicate.hardware.list()).some((each) => each.sku === "cpu");
found["collections"] = (await replicate.collections.list()).results.map((each) => each.slug);
found["a collection"] = (await replicate.collections.get("demo")).models.length;
found["search"] = (await replicate.models.search("poet")).results.some((each) => each.name === "poet");
const mine = await replicate.models.create("local", "tuned", { visibility: "private", hardware: "cpu" });
found["models.create"] = [mine.owner, mine.name, mine.latest_version];
const painter = (await replicate.models.get("demo", "painter")).latest_version.id;
found["versions"] = (await replicate.models.versions.list("demo", "painter")).results[0].id === painter;
found["a version"] = (await replicate.models.versions.get("demo", "painter", painter)).id === painter;

// Trainings.
const train = (steps) => replicate.trainings.create("demo", "painter", painter, { destination: "local/tuned", input: { prompt: "me", steps } });
let training = await train(2);
while (!["succeeded", "failed", "canceled"].includes(training.status)) training = await replicate.trainings.get(training.id);
found["training"] = [training.status, training.output.version.startsWith("local/tuned:")];
found["trainings.cancel"] = (await replicate.trainings.cancel((await train(10_000)).id)).status;
found["trainings.list"] = (await replicate.trainings.list()).results.length;

// Deployments.
const size = (await replicate.models.get("acme", "size")).latest_version.id;
await replicate.deployments.create({ name: "app", model: "acme/size", version: size, hardware: "cpu", min_instances: 0, max_instances: 1 });
const made = await replicate.deployments.predictions.create("local", "app", { input: { file: "data:,abc" }, wait: true });
found["deployment"] = made.output;
found["deployments.update"] = (await replicate.deployments.update("local", "app", { max_instances: 2 })).current_release.number;
found["deployments.list"] = (await replicate.deployments.list()).results.map((each) => each.name);

// What somebody else's example names, under ids that were loaded.
const VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa";
const DONE = "ufawqhfynnddngldkgtslldrkq", RUNNING = "rrr4z55ocneqzikepnug6xezpe", TRAINING = "zz4ibbonubfz7carwiefibzgga", FILE = "ZWRlNWE0";
const SEA = { prompt: "sea", lines: 1 };
const byId = {};
byId["run"] = (await replicate.run(`acme/poet:${VERSION}`, { input: SEA })).join("").length > 0;
byId["stream"] = (await collect(replicate.stream(`acme/poet:${VERSION}`, { input: SEA }))).at(-1).event;
const created = await replicate.predictions.create({ version: VERSION, input: SEA });
byId["create"] = [created.model, created.version === VERSION];
byId["wait"] = (await replicate.wait(created, { interval: 20 })).status;
byId["an unknown version"] = (await failure(replicate.run(`acme/poet:${"0".repeat(64)}`, { input: SEA }))).response.status;
const poet = await replicate.models.get("acme", "poet");
byId["model"] = [poet.description, poet.latest_version.id === VERSION];
byId["versions"] = (await replicate.models.versions.list("acme", "poet")).results.map((each) => each.created_at);
const done = await replicate.predictions.get(DONE);
const progress = Replicate.parseProgressFromLogs(done);
byId["prediction"] = [done.output.join(""), progress.percentage, progress.total];
byId["cancel"] = (await replicate.predictions.cancel(RUNNING)).status;
byId["training"] = [(await replicate.trainings.get(TRAINING)).status, (await replicate.trainings.cancel(TRAINING)).status];
byId["file"] = [(await replicate.files.get(FILE)).size, await replicate.files.delete(FILE), (await failure(replicate.files.get(FILE))).response.status];
const app = await replicate.deployments.get("acme", "verses");
const verses = await replicate.deployments.predictions.create("acme", "verses", { input: SEA, wait: true });
byId["list"] = (await replicate.predictions.list()).results.map((each) => each.id).filter((id) => [DONE, RUNNING].includes(id));
await replicate.deployments.create({ name: "unused", model: "acme/poet", version: VERSION, hardware: "cpu", min_instances: 0, max_instances: 1 });
byId["deployment"] = [
  app.current_release.model, verses.output.length > 0, await replicate.deployments.delete("local", "unused"),
  (await failure(replicate.deployments.get("local", "unused"))).response.status,
];
byId["request"] = (await (await replicate.request("/models/acme/poet", { method: "GET" })).json()).owner;
found["by id"] = byId;

// Webhooks.
const received = [];
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (piece) => { body += piece; });
  request.on("end", () => { received.push([request.headers, body]); response.end(); });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { key } = await replicate.webhooks.default.secret.get();
await replicate.predictions.create({
  model: "demo/poet", input: { prompt: "sea" }, webhook: `http://127.0.0.1:${server.address().port}/hook`, webhook_events_filter: ["start", "completed"],
});
while (received.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
const checked = [];
for (const [headers, body] of received) {
  const request = new Request("http://127.0.0.1/hook", { method: "POST", headers, body });
  checked.push([JSON.parse(body).status, await validateWebhook(request, key)]);
}
found["webhooks"] = checked;
found["received"] = { secret: key, webhooks: received };
server.close();

console.log(JSON.stringify(found));
