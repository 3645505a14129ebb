// The sandbox's JSON API, and the state of the page: which Page, whose phone.

export const state = { webhookUrl: "", pages: [], page: null, contact: null, standby: false, posts: new Map() };

async function call(path, options) {
  const response = await fetch(`/api/${path}`, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `answered ${response.status}`);
  return answer;
}

export const get = (path) => call(path);

export const post = (path, body = {}) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** A WhatsApp number has the endpoints of a Page under another name. */
export const pagePath = () => `${state.page.whatsapp ? "whatsapp" : "pages"}/${state.page.id}`;

export const contactPath = () => `${pagePath()}/contacts/${state.contact.psid}`;

/** Let something happen between the chosen person and the chosen Page. */
export function happen(kind, fields) {
  const standby = state.standby && !state.page.whatsapp && kind !== "dashboard_test" ? { standby: true } : {};
  return post(`${contactPath()}/events`, { kind, ...standby, ...fields });
}

export function nameOf(psid) {
  for (const page of state.pages) {
    const contact = page.contacts.find((one) => one.psid === psid);
    if (contact) return contact.name;
  }
  return psid;
}

/** What a post's outcome is called, and whether that is good, bad, or still open. */
export function outcome(record) {
  const last = record.attempts.at(-1);
  const answered = last ? (last.status ?? last.error) : null;
  const tries = record.attempts.length;
  switch (record.status) {
    case "delivered": {
      const forged = record.signature !== "valid" ? ", although not signed by Meta!" : "";
      const again = tries > 1 ? `, try ${tries}` : "";
      return { tone: forged ? "bad" : "good", text: `delivered to gateway: 200 in ${ms(last)}${again}${forged}` };
    }
    case "waiting":
      return { tone: "wait", text: `gateway: ${answered}; again in ${record.next_attempt_in_s ?? 0} s` };
    case "refused":
      if (last.status === null) return { tone: "bad", text: `no answer: ${last.error}` };
      return { tone: "good", text: `rightly refused: ${answered}` };
    case "lost":
      return { tone: "bad", text: `given up after ${tries} tries: ${answered}` };
    case "held":
      return { tone: "wait", text: "held back" };
    case "merged":
    case "dropped":
      return { tone: "wait", text: record.note };
    default:
      return { tone: "", text: tries ? `try ${tries + 1}…` : "sending…" };
  }
}

export const ms = (attempt) => `${attempt.latency_ms < 10 ? attempt.latency_ms.toFixed(1) : Math.round(attempt.latency_ms)} ms`;
