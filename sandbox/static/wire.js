// The wire log: one foldable line for each webhook, the newest on top.

import { ms, nameOf, outcome, post, state } from "./api.js";
import { byId, colouredJson, el, icon, toast } from "./dom.js";

const POSTS_SHOWN = 150;
const rows = new Map();

export function showPosts(records) {
  for (const record of [...records].sort((a, b) => a.id - b.id)) {
    const old = rows.get(record.id);
    const row = rowOf(record, old?.open ?? false);
    if (old) old.replaceWith(row);
    else byId("wire").prepend(row);
    rows.set(record.id, row);
  }
  forgetOld();
  byId("wire-empty").hidden = rows.size > 0;
  byId("wire-count").textContent = String(Math.max(0, ...state.posts.keys()));
}

function forgetOld() {
  for (const id of [...rows.keys()].sort((a, b) => a - b)) {
    if (rows.size <= POSTS_SHOWN) return;
    rows.get(id).remove();
    rows.delete(id);
  }
}

function rowOf(record, open) {
  const last = record.attempts.at(-1);
  const { tone, text } = outcome(record);
  const short = { held: "held", merged: "merged", dropped: "drop", lost: "lost" }[record.status];
  const code = short ?? String(last?.status ?? (last ? "no answer" : "…"));
  const when = el("span", { className: "when" }, el("b", {}, last ? ms(last) : ""), clock(record.attempts[0]?.at ?? record.created_at));
  const summary = el("summary", {}, el("span", { className: "code", dataset: { tone } }, code), what(record, text), when);
  const details = el("details", { className: "post", dataset: { delivery: record.id, status: record.status } }, summary);
  const unfold = () => details.open && details.childElementCount === 1 && details.append(inside(record));
  details.ontoggle = unfold;
  details.open = open;
  unfold();
  return details;
}

function what(record, text) {
  const different = [...new Set(record.kinds)];
  const kinds = (record.kinds.length > different.length ? `${record.kinds.length} × ` : "") + different.join(", ");
  const tags = [];
  if (record.note) tags.push(el("span", { className: "tag" }, record.note));
  if (record.signature !== "valid") tags.push(el("span", { className: "tag bad" }, record.signature === "none" ? "unsigned" : "forged"));
  const who = record.contacts.map(nameOf).join(", ");
  const head = el("span", { className: "head" }, el("b", {}, kinds), ...tags, el("i", {}, excerpt(record)));
  return el("span", { className: "what" }, head, el("small", {}, `${text} · ${who} · #${record.id}`));
}

function words({ message, message_edit: edit, postback, reaction }) {
  const attached = message?.attachments?.map((attachment) => attachment.type).join(", ");
  return message?.text ?? attached ?? edit?.text ?? postback?.title ?? reaction?.emoji;
}

/** What a person would recognise the webhook by: the text in it. */
function excerpt(record) {
  const texts = JSON.parse(record.body).entry.flatMap((entry) => entry.messaging ?? entry.standby ?? []);
  return texts.map(words).filter(Boolean).join(" · ");
}

const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

function inside(record) {
  const pairs = [["POST", state.webhookUrl], ["X-Hub-Signature-256", record.signature_header ?? "absent"]];
  for (const [index, attempt] of record.attempts.entries())
    pairs.push([`try ${index + 1}`, `${attempt.status ?? attempt.error} in ${ms(attempt)} at ${clock(attempt.at)}${attempt.answer ? ` · ${attempt.answer}` : ""}`]);
  const list = el("dl", {}, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const code = el("pre", { tabIndex: 0, "aria-label": "Body" }, ...colouredJson(JSON.parse(record.body)));
  return el("div", { className: "inside" }, list, code, el("div", { className: "buttons" }, ...buttons(record, code)));
}

function buttons(record, code) {
  const again = el("button", { type: "button", className: "small" }, icon("again"), "Send again");
  again.onclick = async () => {
    await post(`deliveries/${record.id}/repeat`);
    toast(`#${record.id} goes out once more, byte for byte`);
  };
  const raw = el("button", { type: "button", className: "small", "aria-pressed": "false" }, icon("code"), "Raw bytes");
  raw.onclick = () => {
    const on = raw.getAttribute("aria-pressed") === "false";
    raw.setAttribute("aria-pressed", String(on));
    code.replaceChildren(...(on ? [record.body] : colouredJson(JSON.parse(record.body))));
  };
  return [again, raw];
}
