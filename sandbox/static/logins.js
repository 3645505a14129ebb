// Who has connected the app, and what people and providers do of their own accord.

import { get, post } from "./api.js";
import { byId, el, toast } from "./dom.js";

const EVENTS = ["sessions-revoked", "tokens-revoked", "account-disabled", "account-enabled", "account-credential-change-required", "verification"];
const TROUBLES = [["unavailable", "is unavailable"], ["throttled", "says: too many calls"], ["slow", "is slow"], ["lost", "loses its answer"]];
const HOSTS = ["graph.facebook.com", "graph.instagram.com", "api.instagram.com", "oauth2.googleapis.com", "www.googleapis.com", "gmail.googleapis.com"];

let opened = () => false;

export function startLogins(isOpen) {
  opened = isOpen;
  setInterval(() => opened() && !byId("logins").contains(document.activeElement) && showLogins(), 3000);
}

export async function showLogins() {
  if (!opened()) return;
  const [state, { callbacks }] = await Promise.all([get("state"), get("callbacks")]);
  const focused = document.activeElement?.id;
  byId("logins").replaceChildren(
    ...state.facebook.people.map((person) => facebookCard(person, state.facebook.pages)),
    ...state.facebook.pages.map(pageCard),
    ...state.instagram.accounts.map(instagramCard),
    ...state.google.people.map(googleCard),
    troubleCard(state.trouble),
    timeCard(state),
    callbacksCard(callbacks),
  );
  if (focused) document.getElementById(focused)?.focus();
}

/** Do it, say what came of it, and show how things stand now. */
async function act(path, fields, done) {
  try {
    const answer = await post(path, fields);
    const told = answer.deauthorize ?? answer.data_deletion ?? answer.risc;
    toast(told ? `${done}. The app answered ${told.status ?? told.error}` : done);
  } catch (error) {
    toast(error.message);
  }
  await showLogins();
}

function button(id, label, act_) {
  return el("button", { type: "button", className: "small", id, onclick: act_ }, label);
}

function card(title, where, facts, ...inside) {
  return el("section", { className: "card" }, el("h3", {}, title, el("span", { className: "tag" }, where)), el("p", {}, facts), ...inside);
}

const buttons = (...all) => el("div", { className: "buttons" }, ...all);

/** A list to choose from and a button that does something with the choice. */
function choice(id, label, options, verb, act_) {
  if (options.length === 0) return null;
  const select = el("select", { id: `${id}-choice`, "aria-label": label }, ...options.map(([value, text]) => el("option", { value }, text)));
  return el("div", { className: "do" }, select, button(id, verb, () => act_(select.value)));
}

function connected(one, names) {
  if (!one.connected) return "Has not connected the app.";
  return `Connected: ${names.join(", ") || "nothing granted"}. Live tokens: ${one.live_tokens}.`;
}

/** What somebody can do who is connected, or was once. */
function ways(login, who, name, one) {
  const path = (action) => `${login}/${who}/${action}`;
  const remove = () => button(`${who}-remove`, "Remove the app", () => act(path("remove-app"), {}, `${name} removed the app`));
  const erase = () => button(`${who}-delete`, "Ask to delete the data", () => act(path("request-deletion"), {}, "Deletion asked for"));
  const password = () => button(`${who}-password`, "Change the password", () => act(path("change-password"), {}, "Password changed"));
  if (one.connected) return [remove(), password()];
  return one.was_connected ? [erase()] : [];
}

function facebookCard(person, pages) {
  const runs = pages.filter((page) => page.roles[person.id]).map((page) => [page.id, page.name]);
  const path = `facebook/people/${person.id}`;
  return card(
    person.name,
    "Facebook",
    connected(person, person.granted),
    buttons(...ways("facebook/people", person.id, person.name, person)),
    choice(`${person.id}-permission`, `A permission of ${person.name}`, person.granted.map((name) => [name, name]), "Withdraw", (permission) =>
      act(`${path}/revoke-permission`, { permission }, `${permission} withdrawn`),
    ),
    choice(`${person.id}-role`, `A Page of ${person.name}`, runs, "Lose the role", (page) => act(`${path}/lose-role`, { page }, "Role lost")),
  );
}

function pageCard(page) {
  const always = page.always_on && !page.subscribed.length ? "Nobody subscribed yet: posts everything." : "Not subscribed: posts nothing.";
  const facts = page.subscribed.length ? `Subscribed: ${page.subscribed.join(", ")}.` : always;
  const lose = () => act(`facebook/pages/${page.id}/unsubscribe`, {}, "The subscription is gone, and nobody was told");
  return card(page.name, `Page ${page.id}`, facts, buttons(button(`${page.id}-silent`, "Unsubscribe silently", lose)));
}

function instagramCard(account) {
  const subscribed = account.subscribed ? " Subscribed." : " Not subscribed.";
  const lose = () => act(`instagram/accounts/${account.user_id}/unsubscribe`, {}, "The subscription is gone, and nobody was told");
  return card(
    account.username,
    "Instagram",
    connected(account, account.granted) + subscribed,
    buttons(...ways("instagram/accounts", account.user_id, account.username, account), button(`${account.user_id}-silent`, "Unsubscribe silently", lose)),
  );
}

function googleCard(person) {
  const path = `google/people/${person.sub}`;
  const short = person.scopes.map((scope) => scope.split("/").filter(Boolean).at(-1));
  const tokens = person.live_refresh_tokens + person.live_access_tokens;
  return card(
    person.name,
    "Google",
    connected({ ...person, live_tokens: tokens }, short),
    buttons(
      button(`${person.sub}-remove`, "Remove the app", () => act(`${path}/remove-app`, {}, `${person.name} removed the app`)),
      button(`${person.sub}-password`, "Change the password", () => act(`${path}/change-password`, {}, "Password changed")),
    ),
    choice(`${person.sub}-event`, `A security event of ${person.name}`, EVENTS.map((name) => [name, name]), "Send event", (event) =>
      act(`${path}/event`, { event }, `${event} sent`),
    ),
  );
}

function troubleCard(armed) {
  const kind = el("select", { id: "trouble-kind", "aria-label": "Trouble" }, ...TROUBLES.map(([value, text]) => el("option", { value }, text)));
  const host = el("select", { id: "trouble-host", "aria-label": "Host" }, ...HOSTS.map((name) => el("option", { value: name }, name)));
  const count = el("input", { id: "trouble-count", type: "number", min: 1, max: 1000, value: 1, required: true, "aria-label": "How many calls" });
  const form = el("form", { className: "wraps" }, host, kind, "for the next", count, el("button", { className: "small" }, "Do it"));
  form.onsubmit = (event) => {
    event.preventDefault();
    act("trouble", { host: host.value, kind: kind.value, count: Number(count.value) }, "Armed");
  };
  const facts = armed.map((one) => `${one.host ?? "any host"}${one.path ?? ""}: ${one.kind}, ${one.left} left`).join("; ") || "All providers are well.";
  return card("Trouble", "APIs", facts, form, buttons(button("trouble-clear", "All well again", () => act("trouble/clear", {}, "All well"))));
}

function timeCard(state) {
  const hours = el("input", { id: "clock-hours", type: "number", min: 1, max: 2000, value: 25, required: true, "aria-label": "Hours" });
  const form = el("form", {}, hours, "hours", el("button", { className: "small" }, "Let them pass"));
  form.onsubmit = (event) => {
    event.preventDefault();
    act("clock", { forward_s: Number(hours.value) * 3600 }, `${hours.value} hours later`);
  };
  const facts = `Tokens and codes are ${Math.round(state.clock_ahead_s / 3600)} hours ahead.`;
  const expire = button("codes-expire", "Let codes expire", () => act("codes/expire", {}, "Codes that waited have expired"));
  const reset = button("begin-anew", "Begin anew", () => act("reset", {}, "Nobody has connected anything"));
  return card("Time", "all logins", facts, form, buttons(expire, reset));
}

function callbacksCard(callbacks) {
  const rows = callbacks.slice(-8).reverse().map((one) => el("li", {}, el("b", {}, `${one.kind.replaceAll("_", " ")}: ${one.status ?? one.error}`), " ", el("small", {}, one.answer)));
  return card("Told the app", "callbacks", rows.length ? "The newest first, with the app's answers." : "Nothing yet.", el("ol", { className: "told" }, ...rows));
}
