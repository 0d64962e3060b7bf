// A worker process of one of the peers, in the configuration that its own documentation gives for throughput.
//
//   DATABASE_URL=… node worker.mjs graphile|graphile-batched|pg-boss setup
//   DATABASE_URL=… [DELIVER_TO=http://…] node worker.mjs graphile|graphile-batched|pg-boss work
//
// `work` prints "ready" and works until it is killed. A job is {"n": …}; delivering it is nothing at all, or a POST
// to DELIVER_TO/<n> over connections kept open.
import { Agent, request } from "node:http";
import { makeWorkerUtils, run, Logger } from "graphile-worker";
import { PgBoss } from "pg-boss";

const [queue, what] = process.argv.slice(2);
const connectionString = process.env.DATABASE_URL;
const deliverTo = process.env.DELIVER_TO;
// Ours runs as many at a time, too (concurrency in sidecar/config.default.toml).
const agent = new Agent({ keepAlive: true, maxSockets: 32 });

function post({ n }) {
  return new Promise((done, failed) => {
    const sending = request(`${deliverTo}/${n}`, { method: "POST", agent }, (answer) => {
      answer.resume();
      answer.on("end", done);
      answer.on("error", failed);
    });
    sending.on("error", failed);
    sending.end(JSON.stringify({ n }));
  });
}

const deliver = deliverTo ? post : () => {};

// https://worker.graphile.org/docs/performance: the configuration of its quoted figures. Unbatched is the same without
// the three batching options, which are off unless asked for.
const graphile = (batching) => ({
  worker: {
    connectionString,
    concurrentJobs: 24,
    maxPoolSize: 25,
    logger: new Logger(() => () => {}),
    ...(batching ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } : {}),
  },
});

// pg-boss: a table of its own for the queue, woken by NOTIFY, batches that follow one another without a pause while
// they come back full, and no statistics or schedules beside the work. Batch size and number of workers: what was fastest
// of 100 to 5,000 jobs and 1 to 4 workers (benches/README.md).
const boss = () => {
  const it = new PgBoss({ connectionString, max: 10, useListenNotify: true, schedule: false, supervise: false });
  it.on("error", (error) => console.error(String(error)));
  return it;
};
const batchSize = Number(process.env.PG_BOSS_BATCH ?? 2000);
const localConcurrency = Number(process.env.PG_BOSS_WORKERS ?? 4);

if (queue === "pg-boss") {
  const it = boss();
  await it.start();
  if (what === "setup") {
    await it.createQueue("bench", { notify: true, partition: true });
    await it.stop({ graceful: false });
  } else {
    const options = { batchSize, localConcurrency, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
    await it.work("bench", options, deliverTo ? (jobs) => Promise.all(jobs.map((job) => post(job.data))) : async () => {});
    console.log("ready");
  }
} else if (queue === "graphile" || queue === "graphile-batched") {
  const preset = graphile(queue === "graphile-batched");
  if (what === "setup") {
    const utils = await makeWorkerUtils({ preset });
    await utils.migrate();
    await utils.release();
  } else {
    await run({ preset, taskList: { bench: deliver }, noHandleSignals: true });
    console.log("ready");
  }
} else {
  throw new Error(`unknown queue: ${queue}`);
}
