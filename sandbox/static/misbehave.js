// What goes wrong on bad days, as buttons.

import { contactPath, post, state } from "./api.js";
import { writerChanged } from "./composer.js";
import { byId, el, toast } from "./dom.js";

const KINDS = [
  ["repeat", "Send the last again", "The newest webhooks go out once more, byte for byte.", 1],
  ["double", "Double the next", "Each of the next webhooks goes out twice in a row.", 3],
  ["rebatch", "Re-batch", "The entries of the last webhooks come again, together in one POST.", 3],
  ["gather", "Gather the next", "The next webhooks wait, then travel in one POST with several entries.", 3],
  ["reorder", "Reverse the next", "The next webhooks wait, then go out the last one first.", 3],
  ["forge", "Forge the signature", "The next webhooks are signed by somebody who does not know the secret.", 1],
  ["unsigned", "Leave unsigned", "The next webhooks carry no signature at all.", 1],
  ["drop", "Drop the next", "The next webhooks are never sent.", 1],
];
const MOST = 1000;

const badges = new Map();

export function startMisbehave() {
  const cards = KINDS.map(([kind, title, says, count]) =>
    card(kind, title, says, count, async (n) => {
      const { armed, deliveries } = await post("misbehave", { kind, count: n });
      showArmed(armed);
      toast(kind in armed ? `Armed for the next ${n}` : deliveries.length ? `Sent as ${deliveries.map((id) => `#${id}`).join(", ")}` : "Nothing was sent yet");
    }),
  );
  byId("misbehave").replaceChildren(...cards, burstCard(), standbyCard(), behaveCard());
}

function card(kind, title, says, count, act) {
  const badge = el("span", { className: "tag armed", hidden: true });
  badges.set(kind, badge);
  const number = el("input", { type: "number", min: 1, max: MOST, value: count, required: true, "aria-label": `${title}: how many` });
  const form = el("form", {}, number, el("button", { className: "small", "aria-label": `Do it: ${title}` }, "Do it"));
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await act(Number(number.value));
    } catch (error) {
      toast(error.message);
    }
  };
  return el("section", { className: "card" }, el("h3", {}, title, badge), el("p", {}, says), form);
}

function burstCard() {
  return card("burst", "Burst", "The person writes that many messages at once (at most 1,000).", 50, async (count) => {
    await post(`${contactPath()}/burst`, { count });
    toast(`${count} messages written`);
  });
}

function standbyCard() {
  const box = el("input", { type: "checkbox", role: "switch" });
  box.onchange = () => {
    state.standby = box.checked;
    writerChanged();
  };
  const label = el("label", { className: "switch" }, box, "Another app owns the thread");
  const says = "Events arrive in the standby channel; postbacks there come without payload.";
  return el("section", { className: "card" }, el("h3", {}, "Standby"), el("p", {}, says), el("div", { className: "do" }, label));
}

function behaveCard() {
  const button = el("button", { type: "button", className: "small" }, "Behave again");
  button.onclick = async () => {
    showArmed((await post("misbehave", { kind: "clear" })).armed);
    toast("Behaving again; what was held is sent");
  };
  const says = "Disarms everything and sends what is held.";
  return el("section", { className: "card" }, el("h3", {}, "Enough"), el("p", {}, says), el("div", { className: "do" }, button));
}

export function showArmed(armed) {
  let total = 0;
  for (const [kind, count] of Object.entries(armed)) {
    total += count;
    const badge = badges.get(kind);
    badge.hidden = count === 0;
    badge.textContent = `next ${count}`;
  }
  byId("armed-count").textContent = total ? String(total) : "";
}
