// Plays Meta's JavaScript SDK: FB.init and FB.login, as far as Embedded Signup needs them.
"use strict";

(() => {
  const home = new URL(document.currentScript.src).origin;
  let app = null;

  function login(callback, options) {
    if (app === null) throw new Error("FB.login() called before FB.init().");
    const query = new URLSearchParams({
      client_id: app.appId,
      config_id: options.config_id,
      response_type: options.response_type,
      override_default_response_type: String(options.override_default_response_type === true),
      extras: JSON.stringify(options.extras ?? {}),
      origin: location.origin,
    });
    const dialog = window.open(`${home}/${app.version}/dialog/whatsapp?${query}`, "fb-login", "popup,width=620,height=720");
    const watch = setInterval(() => dialog?.closed && finish(null), 300);
    const hear = (event) => {
      if (event.source === dialog && event.origin === home && event.data?.sandbox === "fb.login") finish(event.data.code);
    };
    function finish(code) {
      clearInterval(watch);
      removeEventListener("message", hear);
      const authResponse = code ? { code, userID: null, expiresIn: null } : null;
      callback({ authResponse, status: code ? "connected" : "unknown" });
    }
    addEventListener("message", hear);
  }

  window.FB = { init: (options) => (app = options), login };
  window.fbAsyncInit?.();
})();
