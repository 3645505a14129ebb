// Writing: text, quick replies, attachments, replies, edits, as the contact or as the Page's agent.

import { happen, state } from "./api.js";
import { byId, el, icon, toast } from "./dom.js";
import { lastMid } from "./phone.js";

const QUICK_REPLIES = [["Opening hours", "OPENING_HOURS"], ["Prices", "PRICES"], ["Talk to a person", "HUMAN"]];
const ATTACHMENTS = [
  ["image", "image", "Photo"], ["audio", "audio", "Voice"], ["video", "video", "Video"], ["file", "file", "File"],
  ["sticker", "sticker", "Sticker"], ["fallback", "share", "Share"], ["reel", "reel", "Reel"], ["template", "product", "Product"],
];

let asAgent = false;
let context = null; // {kind: "reply" | "edit", bubble}

export function startComposer() {
  const form = byId("composer");
  form.onsubmit = (event) => {
    event.preventDefault();
    write();
  };
  byId("text").onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      write();
    } else if (event.key === "Escape") setContext(null);
  };
  byId("like").onclick = () => tell("message", { attachments: [{ type: "sticker" }] });
  byId("get-started").onclick = () => tell("postback", { title: "Get started", payload: "GET_STARTED" });
  byId("seen").onclick = seen;
  byId("agent").onclick = () => writeAs(!asAgent);
  byId("attach-toggle").onclick = () => showAttach(byId("attach").hidden);
  byId("context-clear").onclick = () => setContext(null);
  byId("attach").replaceChildren(...ATTACHMENTS.map(([type, sign, label]) => attachButton(type, sign, label)));
  byId("attach").onkeydown = (event) => event.key === "Escape" && showAttach(false);
  byId("quick").replaceChildren(...QUICK_REPLIES.map(([text, payload]) => quickReply(text, payload)));
}

/** A Page hears until when one has read, an Instagram account which message, WhatsApp of each. */
function seen() {
  const mid = lastMid();
  if (state.page.instagram && mid === null) return toast("Write a message first");
  return tell("read", state.page.instagram ? { mid } : {}, "Read receipt sent");
}

function quickReply(text, payload) {
  return el("button", { type: "button", onclick: () => tell("message", { text, quick_reply: payload }) }, text);
}

function attachButton(type, sign, label) {
  const attach = () => {
    showAttach(false);
    tell(asAgent ? "echo" : "message", { attachments: [{ type }] });
  };
  return el("button", { type: "button", onclick: attach }, el("span", { className: "tile" }, icon(sign)), label);
}

function showAttach(open) {
  byId("attach").hidden = !open;
  byId("attach-toggle").setAttribute("aria-expanded", String(open));
  if (open) byId("attach").querySelector("button").focus();
  else byId("attach-toggle").focus();
}

async function write() {
  const text = byId("text").value.trim();
  if (!text) return;
  byId("text").value = "";
  const { kind, bubble } = context ?? {};
  setContext(null);
  if (kind === "edit") await tell("message_edit", { mid: bubble.mid, text });
  else await tell(asAgent ? "echo" : "message", { text, ...(bubble ? { reply_to: bubble.mid } : {}) });
  byId("text").focus();
}

async function tell(kind, fields, done) {
  try {
    await happen(kind, fields);
    if (done) toast(done);
  } catch (error) {
    toast(error.message);
  }
}

function writeAs(agent) {
  asAgent = agent;
  setContext(null);
  byId("agent").setAttribute("aria-pressed", String(agent));
  writerChanged();
  byId("text").focus();
}

export function writerChanged() {
  const first = state.contact.name.split(" ")[0];
  byId("head-line").textContent = `${state.contact.name}'s phone`;
  byId("text").placeholder = asAgent ? "Reply as the Page's agent" : `Write as ${first}`;
  byId("standby-badge").hidden = !state.standby;
  setContext(null);
}

export function startReply(bubble) {
  setContext({ kind: "reply", bubble });
  byId("text").focus();
}

export function startEdit(bubble) {
  setContext({ kind: "edit", bubble });
  byId("text").value = bubble.text;
  byId("text").focus();
}

function setContext(next) {
  if (context?.kind === "edit" && next === null) byId("text").value = "";
  context = next;
  byId("context").hidden = next === null;
  if (next) byId("context-text").textContent = `${next.kind === "edit" ? "Editing" : "Replying to"}: ${next.bubble.text ?? "attachment"}`;
}
