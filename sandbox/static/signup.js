// Ends Embedded Signup's window: tells the page that opened it what was set up, then the code.
"use strict";

const { origin, code, told } = document.getElementById("signup").dataset;
window.opener?.postMessage(told, origin);
window.opener?.postMessage({ sandbox: "fb.login", code }, origin);
window.close();
