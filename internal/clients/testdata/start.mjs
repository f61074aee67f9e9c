// Follows docs/live.md, whose functions the test puts before this text.

/**
 * Starts a client.
 *
 * @param {{name: string, kind: string, url: string, subscriptions: object, token: string}} job
 * @param {(line: string) => void} report gets a line of JSON for each event
 */
export function start(job, report) {
  const tell = (type, stream, cursor, data) =>
    report(JSON.stringify({ name: job.name, stream, type, cursor, data }));
  switch (job.kind) {
    case 'EventSource': {
      const source = new EventSource(job.url);
      const take = ({ type, lastEventId, data }) => tell(type, '', lastEventId, JSON.parse(data));
      for (const type of ['message', 'ready', 'cursor', 'reset', 'problem']) source.addEventListener(type, take);
      source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) tell('given up', '', '', {});
      };
      break;
    }
    case 'followEvents':
      followEvents(job.url, (type, data, cursor) => tell(type, '', cursor, data));
      break;
    case 'followSocket':
      followSocket(job.url, job.subscriptions, (m) => tell(m.type === 'change' ? 'message' : m.type, m.id, m.cursor, m), job.token);
      break;
    default:
      throw new Error(`unknown client ${job.kind}`);
  }
}
