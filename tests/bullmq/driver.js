'use strict';

// One job queue in one version of its library, driven over stdin and stdout: each line in is a request
// `{"op": "add", ...}`, each line out its answer `{"ok": value}` or `{"error": "message"}`, in the same order. The
// program ends when its stdin does, so it cannot outlive the test that started it.
//
//     node driver.js <package> <redis url> <prefix> <queue>
//
// What a job does is written in its data: `{"then": "succeed" | "fail" | "hang", "reason": "..."}`. One handler thus
// serves every test.

const readline = require('node:readline');

const [packageName, redisUrl, prefix, queueName] = process.argv.slice(2);
const library = require(packageName);

function connection() {
  const url = new URL(redisUrl);
  return {
    host: url.hostname,
    port: Number(url.port),
    username: decodeURIComponent(url.username) || undefined,
    password: decodeURIComponent(url.password) || undefined,
    maxRetriesPerRequest: null,
    enableReadyCheck: false,
  };
}

// How often each job was begun in this process.
const begun = new Map();

async function handle(job) {
  begun.set(job.id, (begun.get(job.id) ?? 0) + 1);
  switch (job.data.then) {
    case 'succeed':
      return { done: true };
    case 'fail':
      throw new Error(job.data.reason);
    case 'hang':
      return new Promise(() => {});
    default:
      throw new Error(`job ${job.id} does not say what it does`);
  }
}

function complain(error) {
  process.stderr.write(`${packageName} ${queueName}: ${error.stack}\n`);
}

/** BullMQ, all majors: queue, worker and flow producer are three classes. */
class BullMq {
  constructor() {
    this.options = { connection: connection(), prefix };
    this.queue = new library.Queue(queueName, this.options);
    this.queue.on('error', complain);
  }

  async ready() {
    await this.queue.waitUntilReady();
  }

  async work(concurrency) {
    this.worker = new library.Worker(queueName, handle, { ...this.options, concurrency });
    this.worker.on('error', complain);
    await this.worker.waitUntilReady();
  }

  async addParent(name) {
    const flows = new library.FlowProducer(this.options);
    flows.on('error', complain);
    const child = { name: 'child', queueName: `${queueName}-children`, data: { then: 'succeed' } };
    const flow = await flows.add({ name, queueName, data: { then: 'succeed' }, children: [child] });
    await flows.close();
    return String(flow.job.id);
  }

  async clean(limit) {
    await this.queue.clean(0, limit, 'failed');
  }

  async obliterate() {
    await this.queue.obliterate({ force: true });
  }
}

/** Bull: one class does it all. */
class Bull {
  constructor() {
    this.queue = new library(queueName, { redis: connection(), prefix });
    this.queue.on('error', complain);
  }

  async ready() {
    await this.queue.isReady();
  }

  async work(concurrency) {
    this.queue.process('*', concurrency, handle).catch(complain);
  }

  async addParent() {
    throw new Error('Bull has no flows');
  }

  async clean(limit) {
    await this.queue.clean(0, 'failed', limit);
  }

  async obliterate() {
    await this.queue.obliterate({ force: true });
  }
}

const driven = typeof library === 'function' ? new Bull() : new BullMq();

const operations = {
  async add({ jobs }) {
    const ids = [];
    for (const { name, data, options, age } of jobs) {
      const timestamp = Date.now() - age;
      const job = await driven.queue.add(name, data, { ...options, timestamp });
      ids.push(String(job.id));
    }
    return ids;
  },
  'add-parent': ({ name }) => driven.addParent(name),
  work: ({ concurrency }) => driven.work(concurrency),
  pause: () => driven.queue.pause(),
  resume: () => driven.queue.resume(),
  retry: async ({ id }) => (await driven.queue.getJob(id)).retry(),
  clean: ({ limit }) => driven.clean(limit),
  'is-paused': () => driven.queue.isPaused(),
  counts: () => driven.queue.getJobCounts(),
  handled: () => ({ jobs: begun.size, times: [...begun.values()].reduce((sum, times) => sum + times, 0) }),
  obliterate: () => driven.obliterate(),
};

async function answer(line) {
  try {
    const request = JSON.parse(line);
    const value = await operations[request.op](request);
    return { ok: value ?? null };
  } catch (error) {
    return { error: error.message };
  }
}

async function main() {
  await driven.ready();
  process.stdout.write('{"ok":"ready"}\n');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
  // Handlers that hang and connections that block must not keep the program alive.
  process.exit(0);
}

main().catch((error) => {
  complain(error);
  process.exit(1);
});
