// An agent of Pentad in Node, made from the .proto files alone: it registers, connects to the bus as an agent, and answers
// each task with the letters of its instruction turned round.
//
//   eval "$(pentad env)" && node agent.mjs NAME PROTO_FOLDER
//
// PENTAD_API_KEY, PENTAD_BUS_ADDRESS and PENTAD_REGISTRY_ADDRESS say where Pentad is and who this is.

import { credentials, loadPackageDefinition, Metadata } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [name = "node-agent", protos = "../../proto"] = process.argv.slice(2);
const files = ["common/v1/task", "bus/v1/bus", "registry/v1/registry"].map((file) => `pentad/${file}.proto`);
const definition = loadSync(files, { includeDirs: [protos], keepCase: true, longs: String, enums: String, oneofs: true });
const { bus, registry } = loadPackageDefinition(definition).pentad;
const Task = definition["pentad.common.v1.Task"];

const metadata = new Metadata();
metadata.set("authorization", `Bearer ${process.env.PENTAD_API_KEY}`);
metadata.set("pentad-agent", name);

const busClient = new bus.v1.BusService(process.env.PENTAD_BUS_ADDRESS, credentials.createInsecure());
const registryClient = new registry.v1.RegistryService(process.env.PENTAD_REGISTRY_ADDRESS, credentials.createInsecure());

const line = busClient.Connect(metadata);
let sequence = 0;

function readTask(payload) {
  if (payload.content_type.startsWith("application/json")) return JSON.parse(payload.data.toString());
  return Task.deserialize(payload.data);
}

// The answer and the end of the delivery are one: `settles` names the delivery, and both are stored or neither.
function answer({ tag, message }) {
  const task = readTask(message.payload);
  const text = [...task.instruction].reverse().join("");
  const result = {
    agentRunId: task.agent_run_id,
    runId: task.run_id,
    outputs: [
      { name: "answer", content: { contentType: "text/plain; charset=utf-8", data: Buffer.from(text).toString("base64") } },
    ],
    instance: `${name}/node`,
  };
  const reply = {
    recipient: message.reply_to,
    type: "pentad.result",
    correlation_id: message.correlation_id,
    run_id: message.run_id,
    payload: { content_type: "application/json", data: Buffer.from(JSON.stringify(result)) },
  };
  sequence += 1;
  line.write({ batch: { publishes: [{ seq: sequence, message: reply, settles: tag }] } });
}

line.on("data", (frame) => {
  if (frame.welcome) register();
  for (const delivery of frame.batch?.deliveries ?? []) {
    if (delivery.message.type === "pentad.task") answer(delivery);
    else line.write({ batch: { acks: [delivery.tag] } });
  }
  for (const rejection of frame.batch?.rejections ?? []) fail(new Error(rejection.error.message));
});
line.on("error", fail);
line.write({ hello: { agent: name, instance: "node", credit: { messages: 4 }, take_inbox: true } });

function register() {
  const card = { name, version: "1", description: "Turns a text round.", capabilities: ["reverse"], source: "agent.mjs" };
  registryClient.Register({ card, instance: "node", load: { capacity: 4 } }, metadata, (error, response) => {
    if (error) return fail(error);
    keepAlive(response);
    console.log(`ready as ${name}/node`);
  });
}

function keepAlive({ instance, heartbeat_interval }) {
  const beats = registryClient.KeepAlive(metadata);
  const beat = { agent: name, instance: instance.instance, epoch: instance.epoch, status: "INSTANCE_STATUS_ACTIVE" };
  const milliseconds = Number(heartbeat_interval.seconds) * 1000 + heartbeat_interval.nanos / 1e6;
  beats.on("data", () => {});
  beats.on("error", fail);
  setInterval(() => beats.write(beat), milliseconds);
}

function fail(error) {
  console.error(error.message);
  process.exit(1);
}

process.on("SIGTERM", () => {
  line.write({ goodbye: { reason: "stopped" } });
  registryClient.Deregister({ agent: name, instance: "node", forget: true }, metadata, () => process.exit(0));
});
