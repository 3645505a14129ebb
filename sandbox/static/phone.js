// The conversation on the phone: bubbles, their receipts, and what can be done with one.

import { happen, outcome, state } from "./api.js";
import { startEdit, startReply } from "./composer.js";
import { byId, el, icon, toast } from "./dom.js";

const BUBBLES_SHOWN = 150;
const FACES = [["love", "❤️"], ["smile", "😆"], ["wow", "😮"], ["sad", "😢"], ["angry", "😠"], ["like", "👍"]];

let shown = new Map(); // key → {row, state}: what is on the page, so that only changes are drawn
let bubbles = [];
let opener = null;
let pinned = true; // the newest bubble stays in sight until somebody scrolls up

export const lastMid = () => bubbles.findLast((bubble) => bubble.mid)?.mid ?? null;

export function startPhone() {
  const scroll = byId("scroll");
  const down = () => pinned && (scroll.scrollTop = scroll.scrollHeight);
  let last = 0;
  scroll.onscroll = () => {
    const upwards = scroll.scrollTop < last - 2;
    last = scroll.scrollTop;
    if (scroll.scrollHeight - last - scroll.clientHeight < 60) pinned = true;
    else if (upwards) pinned = false;
  };
  const sizes = new ResizeObserver(down);
  sizes.observe(byId("chat"));
  sizes.observe(scroll);
}

export function showConversation(all, fresh) {
  bubbles = all.slice(-BUBBLES_SHOWN);
  const chat = byId("chat");
  if (fresh) {
    chat.replaceChildren();
    shown = new Map();
    pinned = true;
    closeSheet();
  }
  const keys = new Set();
  bubbles.forEach((bubble, index) => {
    const key = bubble.mid ?? `note-${bubble.delivery}`;
    keys.add(key);
    draw(chat, key, bubble, bubbles[index - 1]);
  });
  for (const [key, entry] of shown) {
    if (!keys.has(key)) {
      entry.row.remove();
      shown.delete(key);
    }
  }
  showReceipts();
}

function draw(chat, key, bubble, before) {
  const now = JSON.stringify(bubble);
  const old = shown.get(key);
  if (old?.state === now) return;
  const row = rowOf(bubble, before);
  if (old) old.row.replaceWith(row);
  else chat.append(row);
  shown.set(key, { row, state: now });
}

function rowOf(bubble, before) {
  const said = el("div", { className: "said" });
  if (bubble.reply_to) said.append(el("div", { className: "quoted" }, quoted(bubble.reply_to)));
  if (bubble.text) said.append(el("div", { className: "bubble" }, bubble.text));
  for (const attachment of bubble.attachments) said.append(attached(attachment));
  if (bubble.reaction) said.append(el("span", { className: "reaction", "aria-label": "Reaction" }, bubble.reaction));
  said.append(el("span", { className: "receipt", dataset: { delivery: bubble.delivery, edits: bubble.edits, ticks: bubble.ticks ?? "" } }));
  const other = before && before.author !== bubble.author ? " other" : "";
  return el("li", { className: `row ${bubble.author}${other}` }, said, bubble.mid ? more(bubble) : null);
}

function more(bubble) {
  const label = `Actions for: ${bubble.text ?? bubble.attachments[0]?.type ?? "message"}`;
  const button = el("button", { type: "button", className: "ghost", "aria-label": label, "aria-haspopup": "dialog" }, icon("more"));
  button.onclick = () => openSheet(bubble, button);
  return button;
}

function quoted(mid) {
  const answered = bubbles.find((bubble) => bubble.mid === mid);
  return `↩ ${answered?.text ?? answered?.attachments[0]?.type ?? "an earlier message"}`;
}

const media = {
  image: (url) => el("img", { src: url, alt: "Photo" }),
  sticker: (url) => el("img", { src: url, alt: "Sticker", className: "sticker" }),
  audio: (url) => el("audio", { src: url, controls: true, preload: "metadata" }),
  video: (url) => el("video", { src: url, controls: true, preload: "metadata" }),
};

/** Media of the sandbox is shown; everything else is a card with its name. */
function attached({ type, title, payload }) {
  const url = payload?.url ?? "";
  const path = url.includes("/media/") ? new URL(url, location.href).pathname : null;
  if (path && media[type]) return el("div", { className: "bubble bare" }, media[type](path));
  const name = title ?? payload?.title ?? payload?.product?.elements?.[0]?.title ?? url.split("/").at(-1);
  const sign = { file: "file", reel: "reel", ig_reel: "reel", template: "product" }[type] ?? "share";
  return el("div", { className: "bubble card-bubble", title: type }, icon(sign), name || type);
}

export function showReceipts() {
  const receipts = [...document.querySelectorAll("#chat .receipt")];
  for (const [index, receipt] of receipts.entries()) {
    if (receipt.dataset.ticks) {
      showTicks(receipt);
      continue;
    }
    const record = state.posts.get(Number(receipt.dataset.delivery));
    if (!record) continue;
    const { tone, text } = outcome(record);
    const speak = index === receipts.length - 1 || record.status !== "delivered" || tone === "bad";
    const edits = Number(receipt.dataset.edits) ? "edited" : null;
    receipt.textContent = [edits, speak ? text : null].filter(Boolean).join(" · ");
    receipt.dataset.tone = speak ? tone : "";
    receipt.parentElement.title = text;
  }
}

const TICKS = { accepted: ["", "🕓"], sent: ["", "✓"], delivered: ["", "✓✓"], read: ["good", "✓✓ read"], played: ["good", "✓✓ played"], failed: ["bad", "failed"] };

/** How far a message of the business has come, as its provider tells the business. */
function showTicks(receipt) {
  const [tone, text] = TICKS[receipt.dataset.ticks];
  receipt.textContent = text;
  receipt.dataset.tone = tone;
  receipt.setAttribute("aria-label", receipt.dataset.ticks);
}

function openSheet(bubble, button) {
  const line = (name, text, act) => {
    const node = el("button", { type: "button", className: "line" }, icon(name), text);
    node.onclick = () => {
      closeSheet();
      act();
    };
    return node;
  };
  const lines = [line("reply", "Reply", () => startReply(bubble))];
  if (bubble.author === "contact" && bubble.text) lines.push(line("edit", "Edit", () => startEdit(bubble)));
  if (bubble.author === "contact" && state.page.whatsapp) lines.push(line("close", "Delete", () => tell("revoke", { mid: bubble.mid })));
  if (bubble.author === "page" && !state.page.whatsapp) {
    const judge = (feedback) => line("like", feedback, () => tell("response_feedback", { mid: bubble.mid, feedback }));
    lines.push(judge("Good response"), judge("Bad response"));
    lines.at(-1).classList.add("flipped");
  }
  lines.push(line("close", "Cancel", () => {}));
  const faces = FACES.map(([reaction, emoji]) => face(bubble, reaction, emoji));
  byId("sheet").replaceChildren(el("div", { className: "faces", role: "group", "aria-label": "React" }, ...faces), ...lines);
  byId("sheet").hidden = false;
  opener = button;
  byId("sheet").querySelector("button").focus();
}

function face(bubble, reaction, emoji) {
  const chosen = bubble.reaction === emoji;
  const node = el("button", { type: "button", "aria-label": reaction, "aria-pressed": String(chosen) }, emoji);
  node.onclick = () => {
    closeSheet();
    tell("reaction", { mid: bubble.mid, action: chosen ? "unreact" : "react", reaction });
  };
  return node;
}

async function tell(kind, fields) {
  try {
    await happen(kind, fields);
  } catch (error) {
    toast(error.message);
  }
}

export function closeSheet() {
  if (byId("sheet").hidden) return;
  byId("sheet").hidden = true;
  if (opener?.isConnected) opener.focus();
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeSheet();
});
addEventListener("pointerdown", (event) => {
  if (!byId("sheet").contains(event.target)) closeSheet();
});
