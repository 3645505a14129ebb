// The page's start: people and Pages, the views, and the long poll that brings news.

import { contactPath, get, pagePath, post, state } from "./api.js";
import { startComposer, writerChanged } from "./composer.js";
import { avatar, byId, el, initials, toast } from "./dom.js";
import { showKinds, startEvents } from "./events.js";
import { showLogins, startLogins } from "./logins.js";
import { showArmed, startMisbehave } from "./misbehave.js";
import { showConversation, showReceipts, startPhone } from "./phone.js";
import { showPosts } from "./wire.js";

const WAIT_S = 25;
const POSTS_KEPT = 1000;
let drawn = 0;

async function loadPages() {
  const { pages, instagram, webhook_url: webhookUrl } = await get("pages");
  const { numbers } = await get("whatsapp/numbers");
  const accounts = instagram.map((page) => ({ ...page, instagram: true }));
  const phones = numbers.map((number) => ({ ...number, whatsapp: true }));
  Object.assign(state, { webhookUrl, pages: [...pages, ...accounts, ...phones] });
  const select = byId("page");
  const label = (page) => (page.instagram ? `Instagram · ${page.name}` : page.whatsapp ? `WhatsApp · ${page.name}` : page.name);
  select.replaceChildren(...state.pages.map((page) => el("option", { value: page.id, title: page.id }, label(page))));
  select.onchange = () => choosePage(select.value);
  choosePage(state.page?.id ?? state.pages[0].id);
}

function choosePage(id) {
  state.page = state.pages.find((page) => page.id === id) ?? state.pages[0];
  byId("page").value = state.page.id;
  byId("head-name").textContent = byId("intro-name").textContent = state.page.name;
  const where = state.page.instagram ? "Instagram account" : state.page.whatsapp ? `${state.page.display} ·` : "Page";
  byId("intro-line").textContent = `Business chat · ${where} ${state.page.id}`;
  byId("channel").textContent = state.page.instagram ? "Instagram" : state.page.whatsapp ? "WhatsApp" : "Messenger";
  document.body.dataset.channel = state.page.whatsapp ? "whatsapp" : "";
  showKinds();
  byId("head-avatar").textContent = byId("intro-avatar").textContent = initials(state.page.name);
  showPeople(state.page.contacts[0].psid);
}

function showPeople(chosen) {
  byId("people").replaceChildren(...state.page.contacts.map((contact) => person(contact, chosen)));
  chooseContact(chosen);
}

function person(contact, chosen) {
  const choose = () => chooseContact(contact.psid);
  const radio = el("input", { type: "radio", name: "person", value: contact.psid, checked: contact.psid === chosen, onchange: choose });
  const label = el("span", {}, el("b", {}, contact.name), el("small", {}, contact.psid));
  return el("label", { className: "person" }, radio, avatar(contact.name, contact.psid), label);
}

function chooseContact(psid) {
  state.contact = state.page.contacts.find((contact) => contact.psid === psid);
  writerChanged();
  drawConversation(true);
}

async function drawConversation(fresh = false) {
  const mine = ++drawn;
  const { bubbles } = await get(`${contactPath()}/conversation`);
  if (mine === drawn) {
    showConversation(bubbles, fresh);
    const isNew = (bubble) => bubble.author === "page" && bubble.mid && bubble.seen === false;
    if (!state.page.whatsapp && bubbles.some(isNew)) await post(`${contactPath()}/open`);
  }
}

function startPeople() {
  byId("new-person").onsubmit = async (event) => {
    event.preventDefault();
    const name = byId("new-name").value.trim();
    if (!name) return;
    const contact = await post(`${pagePath()}/contacts`, { name });
    if (!state.page.contacts.some((one) => one.psid === contact.psid)) state.page.contacts.push(contact);
    byId("new-name").value = "";
    showPeople(contact.psid);
    byId("text").focus();
  };
}

function startViews() {
  const narrow = matchMedia("(max-width: 820px)");
  const show = (view) => {
    document.body.dataset.view = view;
    const current = view === "phone" && !narrow.matches ? "wire" : view;
    for (const button of document.querySelectorAll(".views button"))
      button.setAttribute("aria-current", String(button.dataset.view === current));
  };
  for (const button of document.querySelectorAll(".views button")) button.onclick = () => show(button.dataset.view);
  narrow.onchange = () => show(document.body.dataset.view);
  document.querySelector("[data-view=logins]").addEventListener("click", showLogins);
  show("phone");
}

function showHandshake(handshake) {
  const words = { waiting: "waiting for the gateway", verified: "verified", refused: "refused" };
  byId("handshake").dataset.state = handshake.status;
  byId("handshake-text").textContent = `Handshake ${words[handshake.status]}`;
  byId("handshake").title = `${handshake.webhook_url}: ${handshake.detail}. Press to ask again.`;
}

async function watchHandshake() {
  const handshake = await get("handshake").catch(() => null);
  if (handshake) showHandshake(handshake);
  setTimeout(watchHandshake, handshake?.status === "verified" ? 15000 : 1500);
}

function remember(records) {
  for (const record of records) {
    state.posts.delete(record.id);
    state.posts.set(record.id, record);
  }
  for (const id of state.posts.keys()) {
    if (state.posts.size <= POSTS_KEPT) break;
    state.posts.delete(id);
  }
}

async function listen() {
  let revision = 0;
  let run = null;
  for (;;) {
    try {
      const news = await get(`deliveries?after=${revision}&wait=${WAIT_S}&limit=300`);
      if (run !== null && news.run !== run) return location.reload();
      ({ run, revision } = news);
      if (news.deliveries.length === 0) continue;
      remember(news.deliveries);
      showPosts(news.deliveries);
      showReceipts();
      if (news.deliveries.some((record) => record.contacts.includes(state.contact.psid))) drawConversation();
      showArmed((await get("misbehave")).armed);
    } catch {
      byId("handshake-text").textContent = "The sandbox does not answer";
      byId("handshake").dataset.state = "refused";
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
}

function startClock() {
  const tick = () => (byId("clock").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false }));
  tick();
  setInterval(tick, 10000);
}

addEventListener("unhandledrejection", (event) => toast(event.reason?.message ?? "Something went wrong"));
startViews();
startClock();
startPeople();
startPhone();
startComposer();
startMisbehave();
startLogins(() => document.body.dataset.view === "logins");
byId("handshake").onclick = async () => showHandshake(await post("handshake"));
await startEvents();
await loadPages();
watchHandshake();
listen();
