// A button that acts only when it is held: by pointer, or by Space or Enter on the keyboard.

import { h } from "./dom";

const HOLD_MS = 900;

/** Makes a press-and-hold button. Letting go early does nothing; the label never moves. */
export function holdButton(label: string, hint: string, act: () => void): HTMLButtonElement {
  const fill = h("span", { class: "hold-fill", "aria-hidden": "true" });
  const button = h("button", { type: "button", class: "hold", title: hint }, fill, h("span", { class: "hold-label" }, label));
  let began: number | null = null;
  let frame = 0;

  const tick = () => {
    if (began === null) return;
    const part = Math.min(1, (performance.now() - began) / HOLD_MS);
    fill.style.transform = `scaleX(${part})`;
    if (part >= 1) {
      end();
      act();
      return;
    }
    frame = requestAnimationFrame(tick);
  };
  const begin = () => {
    if (began !== null || button.disabled) return;
    began = performance.now();
    button.classList.add("holding");
    frame = requestAnimationFrame(tick);
  };
  const end = () => {
    began = null;
    cancelAnimationFrame(frame);
    fill.style.transform = "scaleX(0)";
    button.classList.remove("holding");
  };

  button.addEventListener("pointerdown", (e) => {
    if (e.button === 0) begin();
  });
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(name, end);
  button.addEventListener("keydown", (e) => {
    if ((e.key === " " || e.key === "Enter") && !e.repeat) {
      e.preventDefault();
      begin();
    } else if (e.key === "Escape") end();
  });
  button.addEventListener("keyup", (e) => {
    if (e.key === " " || e.key === "Enter") {
      e.preventDefault();
      end();
    }
  });
  button.addEventListener("contextmenu", (e) => e.preventDefault());
  return button;
}
