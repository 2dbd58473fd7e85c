// Pasting a token. It stays in this tab.

import { token } from "../api";
import { h } from "../dom";

export function login(why: string, done: () => void): HTMLElement {
  const input = h("input", { type: "password", name: "token", autocomplete: "off", required: true, "aria-label": "Token" });
  const form = h(
    "form",
    { class: "card login" },
    h("h1", {}, "Exodus"),
    h("p", {}, "Paste an access token. The first start of the server left one in its state folder (admin.token); ", h("code", {}, "exodus token create NAME"), " makes more."),
    h("label", {}, "Token", input),
    why === "" ? null : h("p", { role: "alert", class: "alert" }, why),
    h("button", { type: "submit", class: "main" }, "Go on"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    token.set(input.value.trim());
    done();
  });
  queueMicrotask(() => input.focus());
  return form;
}
