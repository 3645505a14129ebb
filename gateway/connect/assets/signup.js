"use strict";

// WhatsApp's Embedded Signup: Meta's script opens the dialog, and what comes of it goes to us by the
// form. Ids that the window tells are left alone: anybody can send such a message, and what was
// shared, the token says. https://developers.facebook.com/docs/whatsapp/embedded-signup
const form = document.getElementById("signup");
const button = form.querySelector("button");
const { script, origins, app, config, version } = form.dataset;
let ended = ""; // how the window said that it ended, if not well

function send(name, value) {
  button.disabled = true;
  document.getElementById("waiting").hidden = false;
  form.elements[name].value = value;
  form.submit();
}

function told(message) {
  try {
    return JSON.parse(message);
  } catch {
    return null; // windows of Meta's send other things as well
  }
}

addEventListener("message", (event) => {
  if (!origins.split(" ").includes(event.origin)) return;
  const signup = told(event.data);
  if (signup?.type !== "WA_EMBEDDED_SIGNUP") return;
  const failed = signup.event === "ERROR" || Boolean(signup.data?.error_message);
  if (failed) ended = "signup_failed";
  else if (signup.event === "CANCEL") ended = "access_denied";
});

function answered({ authResponse }) {
  if (authResponse?.code) send("code", authResponse.code);
  else send("error", ended || "access_denied");
}

window.fbAsyncInit = () => {
  FB.init({ appId: app, version, autoLogAppEvents: false, xfbml: false, cookie: false });
  button.disabled = false;
};

button.onclick = () =>
  FB.login(answered, {
    config_id: config,
    response_type: "code",
    override_default_response_type: true,
    extras: { setup: {}, featureType: "whatsapp_business_app_onboarding", sessionInfoVersion: "3" },
  });

const sdk = document.createElement("script");
sdk.src = script;
sdk.onerror = () => (document.getElementById("blocked").hidden = false);
document.head.append(sdk);
