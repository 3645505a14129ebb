// Any kind of event, with its fields as JSON.

import { get, happen, state } from "./api.js";
import { byId, el, toast } from "./dom.js";
import { lastMid } from "./phone.js";

let examples = {};

/** Offer the kinds that can happen to the chosen Page or Instagram account. */
export function showKinds() {
  const kinds = state.page.instagram ? examples.instagram : state.page.whatsapp ? examples.whatsapp : examples.kinds;
  const select = byId("event-kind");
  select.replaceChildren(...Object.keys(kinds).map((kind) => el("option", { value: kind }, kind.replaceAll("_", " "))));
  select.onchange = () => (byId("event-fields").value = JSON.stringify(kinds[select.value], null, 2));
  select.onchange();
}

export async function startEvents() {
  examples = { ...(await get("kinds")), whatsapp: (await get("whatsapp/kinds")).kinds };
  const select = byId("event-kind");
  const fields = byId("event-fields");
  byId("event-form").onsubmit = async (event) => {
    event.preventDefault();
    try {
      await happen(select.value, withMid(JSON.parse(fields.value || "{}")));
      toast(`${select.value.replaceAll("_", " ")} sent`);
    } catch (error) {
      toast(error.message);
    }
  };
}

/** An empty message id stands for the last message of the conversation. */
function withMid(fields) {
  const mid = lastMid();
  if (mid === null && (fields.mid === "" || fields.reply_to === "" || fields.mids?.includes(""))) throw new Error("Write a message first");
  return {
    ...fields,
    ...(fields.mid === "" ? { mid } : {}),
    ...(fields.reply_to === "" ? { reply_to: mid } : {}),
    ...(fields.mids ? { mids: fields.mids.map((one) => one || mid) } : {}),
  };
}
