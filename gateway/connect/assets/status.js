"use strict";

// Looks how the connections stand until a message has arrived; without this script a reload does.
const list = document.getElementById("status");
const EVERY_MS = 1500;
const UNTIL_MS = 30 * 60 * 1000;
const began = Date.now();

function show(item, one) {
  for (const span of item.querySelectorAll("[data-of]")) {
    const of = span.dataset.of;
    if (of === "arrived") {
      span.hidden = !one.arrived_at;
      if (one.arrived_at) {
        const time = new Date(one.arrived_at).toLocaleTimeString(document.documentElement.lang);
        span.textContent = span.dataset.text.replace("{time}", time);
      }
    } else if (of === "waiting") {
      span.hidden = Boolean(one.arrived_at) || one.state === "later";
    } else {
      span.hidden = of !== one.state;
    }
  }
}

function isSettled(one) {
  return one.state === "later" || (one.state === "active" && one.arrived_at);
}

async function look() {
  try {
    const answer = await fetch(list.dataset.look, { headers: { accept: "application/json" } });
    if (answer.status === 404) return;
    if (answer.ok) {
      const { connections } = await answer.json();
      for (const one of connections) {
        const item = [...list.children].find((li) => li.dataset.connection === one.id);
        if (item) show(item, one);
      }
      if (connections.every((one) => isSettled(one))) return;
    }
  } catch {
    // offline for a moment: the next look may succeed
  }
  if (Date.now() - began < UNTIL_MS) setTimeout(look, EVERY_MS);
}

if (list) setTimeout(look, EVERY_MS);
